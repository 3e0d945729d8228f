"""What an implementation under judgement offers: a few optional functions over plain arrays.

Nothing is assumed: what a subject does not offer is reported as not offered, and not judged. Where
there is no answer (more tokens than positions, a missing tensor) it must raise, whatever it likes.
Where there is one that it does not give it may raise NotImplementedError, which leaves the check
undecided; any other exception is wrong there.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import FunctionType
from typing import Any

from oracle.adapters.answers import printable
from oracle.adapters.claims import EVERYTHING, Claims, read_claims
from oracle.bounds._rounding import FORMATS


class NoSubject(Exception):  # noqa: N818
    """There is nothing to judge; the message says why, in one line."""

    def __init__(self, says: str) -> None:
        super().__init__(printable(says))


@dataclass(frozen=True)
class Subject:
    """An implementation of GPT-2, or of parts of it.

    config is a dict with the field names of Hugging Face's GPT2Config; weights a dict from Hugging
    Face's tensor names (without "transformer.") to float32 arrays, each number of which is exact in
    `dtype`; Conv1D weights are (in, out), and "lm_head.weight" is there only where it is untied.

    name: what the report calls it. dtype: what it claims to compute in, of `rounding.FORMATS`.

    logits(config, weights, tokens, mask): tokens int64 (batch, query), mask bool (batch, query),
        True where a token is real; padding may be anywhere. Returns (batch, query, vocab); what
        stands at padding does not matter.
    step(config, weights, tokens, mask, cache): the same for the new tokens (batch, new) alone,
        after all that `cache` has read; cache is None at first, and afterwards what the call before
        returned; mask covers all tokens so far (batch, all). Returns (logits, cache). No cache is
        used twice.
    ops: functions by name, of those of `oracle.conformance._checks.ops.SIGNATURES`.
    process(settings, tokens, prompt_length, logits): the scores after what `settings` (Hugging
        Face's names; one setting, and what it depends on) does to logits float64 (rows, vocab),
        -inf where a token is ruled out. tokens int64 (rows, length), the first prompt_length of
        which are the prompt. Held to float32 where dtype is narrower, as are the decoders.
    generate(next_logits, prompts, settings, uniforms): rows of ids, the prompt included, one for
        each prompt, or num_return_sequences of each side by side. next_logits(rows) takes lists of
        ids, any lengths, and gives float64 (rows, vocab). uniforms: (rows, steps), in beam sampling
        (prompts, steps, draws), or None where nothing is drawn. Keywords come only with what needs
        them: hidden(rows), the final hidden states at each token, for contrastive search; draft,
        another next_logits, and negative_prompts; text_of(ids), where there are stop_strings.
    draw(next_logits, prompts, settings): the same with the subject's own randomness.
    encode(vocabulary, merges, text), decode(vocabulary, merges, ids): byte-level BPE. vocabulary: a
        dict from a token in GPT-2's printable alphabet to its id, merges a list of pairs by rank.
        A text is taken literally, "<|endoftext|>" in it too; where `settings` has "allowed_special"
        encode is also called with allowed_special=["<|endoftext|>"], which then is that token.
    perplexity(config, weights, tokens, stride): of one row of ids (length,). A window reads at most
        n_positions tokens and predicts the token after each of them; the next starts stride later;
        the last is the first that reaches the last token but one. Each token but the first is
        scored once, by the first window that predicts it. Returns exp of the mean of -log p.

    decoders: which decoders `generate` has, of `strategies.decoding_problems.DECODERS`.
    settings: which settings `generate` and `process` know.
    claims: what it can do of all that; see `Claims`. What it does not claim is not judged. Without
        them, models of no layers, of width 1 and of one token are drawn too, under every switch
        that `GPT2Config` has, with heads tied and untied, in batches padded anywhere.
    """

    name: str
    dtype: str = "float32"
    logits: Callable[..., Any] | None = None
    step: Callable[..., Any] | None = None
    ops: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    process: Callable[..., Any] | None = None
    generate: Callable[..., Any] | None = None
    draw: Callable[..., Any] | None = None
    encode: Callable[..., Any] | None = None
    decode: Callable[..., Any] | None = None
    perplexity: Callable[..., Any] | None = None
    decoders: Sequence[str] = ()
    settings: Sequence[str] = ()
    claims: Claims = EVERYTHING

    def function(self, name: str) -> Callable[..., Any] | None:
        """What is offered under this name; "ops.gelu" is an op's.

        >>> subject = Subject("mine", ops={"relu": lambda x: x * (x > 0)})
        >>> subject.function("logits") is None, subject.function("ops.relu")(-2)
        (True, 0)
        """
        if name.startswith("ops."):
            return self.ops.get(name.removeprefix("ops."))
        return getattr(self, name)


# The functions that a subject may offer, beside its ops.
FUNCTIONS = (
    "logits",
    "step",
    "process",
    "generate",
    "draw",
    "encode",
    "decode",
    "perplexity",
)


def as_subject(offer: Any, *, name: str) -> Subject:
    """A Subject of anything that has some of its fields: a module, an object, a mapping.

    Its claims may be a dict. Raises NoSubject where it offers no function, where its dtype is not
    known, and for claims that contradict each other or the offer.

    >>> as_subject({"logits": len}, name="mine").function("logits") is len
    True
    >>> as_subject({}, name="mine")
    Traceback (most recent call last):
    ...
    oracle.adapters.subject.NoSubject: mine offers nothing to judge; give it at least one of logits, step, process, generate, draw, encode, decode, perplexity, ops
    """  # noqa: E501
    if isinstance(offer, Subject):
        return _within_claims(offer, name=name)

    def field_of(key: str) -> Any:
        return offer.get(key) if isinstance(offer, Mapping) else getattr(offer, key, None)

    given = {f.name: field_of(f.name) for f in fields(Subject)}
    given = {key: value for key, value in given.items() if value is not None}
    if not given.get("ops") and not any(map(given.get, FUNCTIONS)):
        raise NoSubject(
            f"{name} offers nothing to judge; give it at least one of {', '.join(FUNCTIONS)}, ops"
        )
    for key in FUNCTIONS:
        if key in given and not callable(given[key]):
            raise NoSubject(f"{key} of {name} is {given[key]!r}; expected a function")
    ops = given.get("ops", {})
    if not isinstance(ops, Mapping) or not all(map(callable, ops.values())):
        raise NoSubject(f"ops of {name} is {ops!r}; expected a dict from names to functions")
    for key in ("decoders", "settings"):
        if isinstance(given.get(key, ()), str) or not isinstance(given.get(key, ()), Iterable):
            raise NoSubject(f"{key} of {name} is {given[key]!r}; expected a list of names")
    given["name"] = "".join(c if c.isprintable() else " " for c in str(given.get("name", name)))
    given["dtype"] = getattr(given.get("dtype"), "__name__", given.get("dtype", "float32"))
    if given["dtype"] not in FORMATS:
        raise NoSubject(
            f"dtype of {name} is {given['dtype']!r}; expected one of {', '.join(FORMATS)}"
        )
    try:
        given["claims"] = read_claims(given.get("claims"))
    except ValueError as error:
        raise NoSubject(f"claims of {name}: {error}") from error
    return _within_claims(Subject(**given), name=name)


def _within_claims(subject: Subject, *, name: str) -> Subject:
    """The subject with no decoders and settings but those that it claims."""
    claims = subject.claims
    if claims.dtypes is not None and subject.dtype not in claims.dtypes:
        raise NoSubject(
            f"claims of {name}: dtypes are {', '.join(claims.dtypes)}, but its dtype is "
            f"{subject.dtype}; offer it in one that it claims"
        )
    if claims.decoders is not None and not (subject.generate or subject.draw):
        raise NoSubject(
            f"claims of {name}: decoders are {', '.join(claims.decoders)}, but it offers no "
            "generate; offer it, or leave the claim out"
        )
    narrowed: dict[str, Any] = {}
    for key in ("decoders", "settings"):
        claimed, offered = getattr(claims, key), tuple(getattr(subject, key))
        if claimed is None or claimed == offered:
            continue
        if offered and (more := [value for value in claimed if value not in offered]):
            raise NoSubject(
                f"claims of {name}: {key} has {more[0]}, which is not among the {key} that it "
                f"offers: {', '.join(offered)}"
            )
        narrowed[key] = claimed
    return replace(subject, **narrowed) if narrowed else subject


def load(path: str, **options: Any) -> Subject:
    """The subject at "package.module:attribute", or a module that itself offers the functions.

    A function or a class is called with the options, such as dtype="float16", and gives it.
    Raises NoSubject with what stood in the way.
    """
    module, _, attribute = path.partition(":")
    try:
        offer: Any = importlib.import_module(module)
        for part in filter(None, attribute.split(".")):
            offer = getattr(offer, part)
        makes = isinstance(offer, type | FunctionType)
        if makes:
            offer = offer(**options)
    except (Exception, SystemExit) as error:
        says = " ".join(f"{type(error).__name__}: {error}".split())
        raise NoSubject(
            f"{path} could not be loaded: {says}; "
            "give a module that can be imported here and, after a colon, what to take from it; "
            "a function or a class is called without arguments and has to give the subject"
        ) from error
    if options and not makes:
        raise NoSubject(f"{path} takes no {', '.join(options)}: it is not a function; leave it out")
    return as_subject(offer, name=path)
