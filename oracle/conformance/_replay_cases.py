"""Replay cases: what a failing example is made of, as arrays, values and a script.

An example of each kind becomes a `Case`: the arguments of the subject's function, what it should
give, and how far off that may be. Nothing of the oracle is needed to replay it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from oracle import tokenizer
from oracle.bounds._rounding import Array
from oracle.conformance import _replay_scripts as scripts
from oracle.conformance._check import Check
from oracle.conformance._checks import draws, ops, processors
from oracle.conformance._checks.cache import CacheExample
from oracle.conformance._checks.interleaved import CachedTurns, Turns
from oracle.conformance._checks.perplexity import TextScore
from oracle.conformance._checks.refusals import Refusal
from oracle.conformance._decoder_verdicts import SHIFTS
from oracle.conformance._decoder_verdicts import reference as decoded
from oracle.conformance._model_examples import ModelExample
from oracle.strategies._decoding_problems import AllowedTokens, DecodingProblem, Leaning
from oracle.strategies._scores import ScoreProblem
from oracle.strategies._texts import ByteVocabulary, IdsExample, TextExample
from oracle.strategies._toy_language_models import ToyLanguageModel
from oracle.strategies._wide_language_models import WideLanguageModel


@dataclass(frozen=True)
class Case:
    """arrays: by the names under which they are saved. values: what JSON holds, likewise.

    literals: what stands in the script itself, as Python writes it.
    """

    body: str
    imported: str
    arrays: dict[str, Array]
    values: dict[str, Any] = field(default_factory=dict)
    literals: dict[str, Any] = field(default_factory=dict)
    signature: str = ""

    @property
    def script(self) -> str:
        """What replays it."""
        return scripts.script(
            self.body, self.imported, signature=self.signature, literals=self.literals
        )


def case(check: Check, example: Any, *, dtype: str, mask: bool = True) -> Case | None:
    """The case of an example; None for one of a kind, or with settings, that has no script.

    mask: whether the subject takes one.
    """
    for kind, make in MAKERS.items():
        if isinstance(example, kind):
            return make(check, example, dtype, mask)
    return None


def _model(check: Check, example: ModelExample, dtype: str, mask: bool) -> Case:
    arrays = _arguments(example) | _expected(example, dtype)
    return Case(scripts.LOGITS, "logits", arrays, {"config": example.config, "takes_mask": mask})


def _cache(check: Check, example: CacheExample, dtype: str, mask: bool) -> Case:
    whole = _model(check, example.whole, dtype, mask)
    chunks = {"chunks": np.array(example.chunks, np.int64)}
    return replace(whole, body=scripts.CACHE, imported="step", arrays=whole.arrays | chunks)


def _refusal(check: Check, example: Refusal, dtype: str, mask: bool) -> Case:
    spoilt = example.spoilt()
    values = {"config": spoilt.config, "takes_mask": mask}
    return Case(scripts.REFUSAL, "logits", _arguments(spoilt), values)


def _pair(check: Check, pair: tuple[Any, ...], dtype: str, mask: bool) -> Case | None:
    """A model, and another that is asked between two calls of the first."""
    if len(pair) != 2 or not all(isinstance(example, ModelExample) for example in pair):
        return None
    one, between = pair
    arrays = {f"between.{name}": array for name, array in _arguments(between).items()}
    whole = _model(check, one, dtype, mask)
    values = {**whole.values, "between.config": between.config}
    return Case(scripts.REPEATABLE, "logits", whole.arrays | arrays, values)


def _turns(check: Check, turns: Turns | CachedTurns, dtype: str, mask: bool) -> Case:
    arrays: dict[str, Array] = {}
    values: dict[str, Any] = {"calls": len(turns.calls), "takes_mask": mask}
    for turn, call in enumerate(turns.calls):
        own = _arguments(call) | _expected(call, dtype)
        arrays |= {f"{turn}.{name}": array for name, array in own.items()}
        values[f"{turn}.config"] = call.config
    if isinstance(turns, Turns):
        return Case(scripts.TURNS, "logits", arrays, values)
    arrays["chunks"] = np.array(turns.chunks, np.int64)
    return Case(scripts.CACHED_TURNS, "step", arrays, values)


def _op(check: Check, example: ops.OpExample, dtype: str, mask: bool) -> Case:
    name = check.needs.removeprefix("ops.")
    reference, allowed = ops.limits(ops.OPS[name], dtype, example)
    arrays = {f"arguments.{n}": array for n, array in example.arrays.items()}
    options = {n: v for n, v in example.options.items() if not isinstance(v, np.ndarray)}
    masks = {f"options.{n}": v for n, v in example.options.items() if isinstance(v, np.ndarray)}
    arrays |= masks | {"reference": reference}
    arrays["allowed"] = np.broadcast_to(np.asarray(allowed, np.float64), reference.shape)
    values = {"options": options, "order": list(example.arrays)}
    return Case(scripts.OP, name, arrays, values, signature=ops.SIGNATURES[name])


def _process(check: Check, problem: ScoreProblem, dtype: str, mask: bool) -> Case | None:
    wanted = processors.reference(dtype, problem)
    arrays = {
        "tokens": problem.tokens,
        "logits": problem.logits,
        "scores": wanted.scores,
        "allowed": wanted.allowed,
        "narrow": wanted.narrow,
    }
    literals = {"SETTINGS": problem.settings}
    values = {"prompt_length": problem.prompt_length}
    return _written(Case(scripts.PROCESS, "process", arrays, values, literals))


def _generate(check: Check, problem: DecodingProblem, dtype: str, mask: bool) -> Case | None:
    wanted = decoded(problem)
    pieces = []
    if "stop_strings" in problem.settings:
        pieces = [problem.toy.text_of([token]) for token in range(problem.toy.vocab_size)]
        if "\ufffd" in "".join(pieces):
            return None  # of halves of characters no text is a sum of its pieces
    toys = {"toy": problem.toy} | ({"draft": problem.draft} if problem.draft else {})
    arrays = dict(pair for name, toy in toys.items() for pair in _toy(name, toy).items())
    if problem.uniforms is not None:
        arrays["uniforms"] = problem.uniforms
    literals: dict[str, Any] = {
        "SETTINGS": problem.settings,
        "PROMPTS": [list(prompt) for prompt in problem.prompts],
        "NEGATIVE_PROMPTS": problem.negative_prompts and list(map(list, problem.negative_prompts)),
        "GIVEN": _given(problem),
    }
    values = {
        "expected": [list(map(int, row)) for row in wanted.sequences],
        "pieces": pieces,
        "steps": {name: toy.steps for name, toy in toys.items()},
        "shifts": SHIFTS,
    }
    return _written(Case(scripts.GENERATE, "generate", arrays, values, literals))


def _given(problem: DecodingProblem) -> list[str]:
    """Which keywords come beside: see `Subject.generate`."""
    given = {
        "hidden": problem.decoder == "contrastive search",
        "draft": problem.draft is not None,
        "negative_prompts": problem.negative_prompts is not None,
        "text_of": "stop_strings" in problem.settings,
    }
    return [name for name, there in given.items() if there]


def _draw(check: Check, problem: draws.DrawProblem, dtype: str, mask: bool) -> Case | None:
    probabilities = {text: float(p) for text, p in draws.exact(problem).items()}
    values = {
        "steps": {"toy": problem.toy.steps},
        "shifts": [0.0],
        "texts": [[list(text), *draws.passing(p)] for text, p in probabilities.items()],
        "draws": draws.DRAWS,
    }
    literals = {"SETTINGS": problem.settings, "PROMPT": list(problem.prompt)}
    return _written(Case(scripts.DRAW, "draw", _toy("toy", problem.toy), values, literals))


def _text(check: Check, example: TextExample, dtype: str, mask: bool) -> Case:
    encoded = tokenizer.encode(example.vocabulary.tokens, example.vocabulary.merges, example.text)
    values = _tokenizer(example.vocabulary) | {"text": example.text, "ids": encoded}
    if check.name.endswith("round trip"):
        return Case(scripts.ROUND_TRIP, "decode, encode", {}, values)
    return Case(scripts.ENCODE, "encode", {}, values)


def _ids(check: Check, example: IdsExample, dtype: str, mask: bool) -> Case:
    text = tokenizer.decode(example.vocabulary.tokens, example.vocabulary.merges, example.ids)
    values = _tokenizer(example.vocabulary) | {"text": text, "ids": list(map(int, example.ids))}
    return Case(scripts.DECODE, "decode", {}, values)


def _tokenizer(vocabulary: ByteVocabulary) -> dict[str, Any]:
    return {"vocabulary": dict(vocabulary.tokens), "merges": list(map(list, vocabulary.merges))}


def _perplexity(check: Check, example: TextScore, dtype: str, mask: bool) -> Case:
    wanted = example.reference(dtype)
    arrays = {f"weights.{name}": array for name, array in example.weights.items()}
    arrays |= {"tokens": example.tokens, "reference": np.array(wanted.mean)}
    arrays["allowed"] = np.array(wanted.allowed)
    values = {"config": example.config, "stride": example.stride}
    return Case(scripts.PERPLEXITY, "perplexity", arrays, values)


MAKERS: dict[type, Callable[..., Case | None]] = {
    ModelExample: _model,
    CacheExample: _cache,
    Turns: _turns,
    CachedTurns: _turns,
    Refusal: _refusal,
    ops.OpExample: _op,
    ScoreProblem: _process,
    DecodingProblem: _generate,
    draws.DrawProblem: _draw,
    TextExample: _text,
    IdsExample: _ids,
    TextScore: _perplexity,
    tuple: _pair,
}


def _arguments(example: ModelExample) -> dict[str, Array]:
    arrays = {f"weights.{name}": array for name, array in example.weights.items()}
    return arrays | {"tokens": example.batch.tokens, "mask": example.batch.mask}


def _expected(example: ModelExample, dtype: str) -> dict[str, Array]:
    reference, allowed = example.reference(dtype)
    return {"reference": reference, "allowed": allowed}


def _toy(name: str, toy: ToyLanguageModel | WideLanguageModel) -> dict[str, Array]:
    """Its distributions as logits: what follows a row is one of them, by its last two tokens."""
    if isinstance(toy, WideLanguageModel):
        return {f"{name}.table": toy.table, f"{name}.vectors": toy.vectors}
    by_turns = replace(toy, steps=(1, 0))
    table = by_turns.logits_of([[turn] for turn in range(len(toy.weights))])
    return {f"{name}.table": table, f"{name}.vectors": np.array(toy.vectors, np.float64)}


def _written(made: Case) -> Case | None:
    """The case, if Python's own words can say its settings."""
    return made if _can_be_written(made.literals.get("SETTINGS", {})) else None


def _can_be_written(value: Any) -> bool:
    if isinstance(value, AllowedTokens | Leaning | str | bool | int | float | None):
        return True
    if isinstance(value, dict):
        return all(map(_can_be_written, [*value, *value.values()]))
    return isinstance(value, list | tuple) and all(map(_can_be_written, value))
