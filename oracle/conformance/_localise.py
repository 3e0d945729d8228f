"""Where a model first goes wrong, found through its logits alone.

Every part of GPT-2 can be put to sleep by its weights: a projection of zeros adds nothing to the
residual stream, queries of zeros look evenly at all keys, equal rows of an embedding say nothing
about the token. So the model is built up again, rung by rung, each waking one part more; where the
logits are wrong for the first time, that part is wrong. It is put to sleep then, where its weights
can do that, and the walk goes on.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch

from oracle import model
from oracle.adapters.claims import Claims
from oracle.adapters.guard import Misbehaviour
from oracle.adapters.subject import Subject
from oracle.bounds._compare import excess
from oracle.bounds._rounding import Array, format_of
from oracle.conformance._check import MISMATCH
from oracle.conformance._model_examples import (
    ModelExample,
    exact_in,
    in_dtype,
    judge_logits,
    not_logits,
)
from oracle.conformance._outcome import Seen
from oracle.conformance._parts import small_row, solved_epsilon
from oracle.conformance._remembered import remembered
from oracle.strategies._configs import EPSILONS, Config
from oracle.strategies._tokens import Batch, build_batch
from oracle.strategies._weights import Weights, build_weights, weight_shapes

Change: TypeAlias = Callable[[dict[str, Array], Config, str], None]


@dataclass(frozen=True)
class Divergence:
    """A part that is wrong.

    component: its name, of RUNGS, or what is said of a whole model. layer: from 0, or None where it
    stands outside of all layers. row, position: the first wrong logits of the example. error: as a
    part of what rounding may do. says: what is seen there. example: what shows it. answer: what
    the subject gave for that.
    """

    component: str
    layer: int | None
    row: int
    position: int
    error: float
    says: str
    example: ModelExample
    answer: Any = None


@dataclass(frozen=True)
class Rung:
    """A part that wakes. layers: how many there are. tokens: how many of the row are put in.

    asleep: what takes from full weights all that wakes on a later rung. silenced_by: what puts the
    part itself to sleep on later rungs, where it is wrong; None where nothing does.
    """

    component: str
    layers: int
    tokens: int | None
    asleep: tuple[Change, ...]
    silenced_by: tuple[Change, ...] | None = None


def _fill(value: float, *names: str) -> Change:
    def change(weights: dict[str, Array], config: Config, dtype: str) -> None:
        for name in weights:
            if name.endswith(names):
                weights[name] = np.full_like(weights[name], value)

    return change


def _no_positions(weights: dict[str, Array], config: Config, dtype: str) -> None:
    weights["wpe.weight"] = np.zeros_like(weights["wpe.weight"])


def _one_token(weights: dict[str, Array], config: Config, dtype: str) -> None:
    weights["wte.weight"] = np.repeat(weights["wte.weight"][:1], config["vocab_size"], axis=0)


def _queries_and_keys(part: str) -> Change:
    def change(weights: dict[str, Array], config: Config, dtype: str) -> None:
        for name in weights:
            if name.endswith(f"attn.c_attn.{part}"):
                weights[name] = weights[name].copy()
                weights[name][..., : 2 * config["n_embd"]] = 0

    return change


def _loud(weights: dict[str, Array], config: Config, dtype: str) -> None:
    """Tokens so loud that any usual epsilon is lost in rounding beside them.

    A smaller epsilon in the configuration would not do: many have theirs written in.
    """
    spread = weights["wte.weight"].std(-1)
    epsilon = max(config["layer_norm_epsilon"], *EPSILONS)
    wanted = np.sqrt(EPSILONS_LOST * epsilon / format_of(dtype).unit)
    if spread.min() > 0 and wanted > spread.min():
        doublings = np.ceil(np.log2(wanted / spread.min()))
        weights["wte.weight"] = in_dtype(
            dtype, np.ldexp(weights["wte.weight"], int(doublings)).astype(np.float32)
        )


# An epsilon moves what is normalised by half of itself over the variance: here unit / 32.
EPSILONS_LOST = 16.0
# What comes before an output projection of zeros is zero too, since NaN times zero is none.
ATTENTION_BUT_BIAS = _fill(0, "attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight")
ATTENTION = _fill(
    0, "attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight", "attn.c_proj.bias"
)
MLP_BUT_BIAS = _fill(0, "mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight")
MLP = _fill(0, "mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias")
EPSILON = "final layer norm's epsilon, or the size of the token embedding"
EVEN = (_queries_and_keys("weight"), _queries_and_keys("bias"))

RUNGS = (
    Rung(
        "output head, or the final layer norm's bias",
        0,
        None,
        (_no_positions, _one_token, _fill(0, "ln_f.weight")),
    ),
    Rung("final layer norm", 0, None, (_no_positions, _one_token, _loud)),
    Rung(
        EPSILON,
        0,
        None,
        (_no_positions, _one_token),
        (_loud,),
    ),
    Rung("token embedding", 0, None, (_no_positions,)),
    Rung("position embedding", 0, None, (), (_no_positions,)),
    Rung("residual stream", 1, None, (ATTENTION, MLP)),
    Rung("MLP output bias", 1, 1, (ATTENTION, MLP_BUT_BIAS), (MLP,)),
    Rung(
        "activation function, or MLP output projection",
        1,
        1,
        (ATTENTION, _fill(0, "mlp.c_fc.weight")),
        (MLP,),
    ),
    Rung("MLP input projection", 1, 1, (ATTENTION, _fill(0, "ln_2.weight")), (MLP,)),
    Rung("layer norm before the MLP", 1, 1, (ATTENTION,), (MLP,)),
    Rung("attention output bias", 1, 1, (MLP, ATTENTION_BUT_BIAS), (ATTENTION,)),
    Rung(
        "attention output projection, or attention to one key",
        1,
        1,
        (MLP, *EVEN, _fill(0, "attn.c_attn.weight")),
        (ATTENTION,),
    ),
    Rung("value projection", 1, 1, (MLP, *EVEN, _fill(0, "ln_1.weight")), (ATTENTION,)),
    Rung("layer norm before attention", 1, 1, (MLP, *EVEN), (ATTENTION,)),
    Rung("attention scores of one key", 1, 1, (MLP,), (ATTENTION,)),
    Rung("causal mask", 1, None, (MLP, *EVEN), (ATTENTION,)),
    Rung("attention scores", 1, None, (MLP,), (ATTENTION,)),
    Rung("attention and MLP together", 1, None, ()),
)


def localise(subject: Subject, failing: Sequence[ModelExample], *, dtype: str) -> Divergence | None:
    """The first divergence, or None where each rung, and all that failed, is now right.

    failing: examples that the subject gets wrong, the smallest first. What it refuses, and what it
    does not claim, is walked around.
    """
    return next(_divergences(subject, failing, dtype), None)


def localise_all(
    subject: Subject, failing: Sequence[ModelExample], *, dtype: str
) -> tuple[Divergence, ...]:
    """All divergences that can be told apart, the first place first.

    A part that is wrong is put to sleep, and the walk goes on with it asleep, as long as what was
    wrong is right then.
    """
    return tuple(_divergences(subject, failing, dtype))


def _divergences(
    subject: Subject, failing: Sequence[ModelExample], dtype: str
) -> Iterator[Divergence]:
    claims = subject.claims
    bases = [*_ordinary(failing[0].config, claims, dtype), *failing[:2]]
    # At width 1 a layer norm is its bias, so what fails there says little of where: it comes last.
    wide = [base for base in bases if base.config["n_embd"] > 1]
    silent: tuple[Change, ...] = ()
    already = False
    for rung in RUNGS:
        wrong = _first_wrong_at(subject, wide, rung, silent, dtype)
        if wrong is None:
            continue
        already = True
        yield _divergence(rung.component, _layer(rung), wrong, dtype)
        if rung.silenced_by is None:
            return
        if rung.component == EPSILON and (other := _with_its_epsilon(subject, wide, wrong)):
            subject, wide, bases = other
        else:
            silent = tuple(dict.fromkeys((*silent, *rung.silenced_by)))
        if _first_wrong_at(subject, wide, rung, silent, dtype):
            return
    thin = [] if already else [base for base in bases if base.config["n_embd"] == 1]
    for rung in RUNGS:
        if wrong := _first_wrong_at(subject, thin, rung, (), dtype):
            yield _divergence(rung.component, _layer(rung), wrong, dtype)
            return
    yield from _beyond_one_block(subject, bases, silent, dtype, already=already)


def _with_its_epsilon(
    subject: Subject, bases: Sequence[ModelExample], wrong: Seen
) -> tuple[Subject, list[ModelExample], list[ModelExample]] | None:
    """The subject and the bases, twice, as if the epsilon that it computes with were configured.

    None where there is none that explains its layer norm.
    """
    config = wrong.example.config
    eps = config["layer_norm_epsilon"]
    try:
        solved = solved_epsilon(subject, small_row(eps), eps, config=config)
    except Misbehaviour:
        return None
    if solved is None:
        return None

    ask = subject.logits
    assert ask is not None  # it gave the answer that was wrong

    def logits(config: Config, *rest: Any) -> Any:
        return ask(config | {"layer_norm_epsilon": eps}, *rest)

    alike = [base for base in bases if base.config["layer_norm_epsilon"] == eps]
    moved = [replace(b, config=b.config | {"layer_norm_epsilon": solved}) for b in alike]
    return replace(subject, logits=logits), moved, moved


def _first_wrong_at(
    subject: Subject,
    bases: Sequence[ModelExample],
    rung: Rung,
    silent: tuple[Change, ...],
    dtype: str,
) -> Seen | None:
    """The first of the bases that is wrong on this rung, with the silent parts asleep too."""
    for base in bases:
        for example in _forms(base, rung, silent, dtype, subject.claims.min_n_layer):
            answer = _answer(subject, example)
            if isinstance(answer, Misbehaviour):
                continue  # no numbers, so none that are wrong: perhaps it answers another form
            finding = judge_logits(dtype, example, answer)
            if finding.verdict == MISMATCH:
                return Seen(example, answer, finding)
            break
    return None


def _forms(
    base: ModelExample, rung: Rung, silent: tuple[Change, ...], dtype: str, least: int
) -> Iterator[ModelExample]:
    """The rung as it is, and with a layer asleep in place of none: some cannot hold none."""
    for layers in dict.fromkeys((least, max(least, 1))):
        yield _built(base, rung, silent, dtype, layers)
        if rung.layers:
            return


def depths(subject: Subject, example: ModelExample, *, dtype: str) -> list[tuple[float, float]]:
    """The largest error with 0, 1, 2 … of the example's layers, and what rounding allows there."""
    errors = []
    for layers in range(example.config["n_layer"] + 1):
        for form in dict.fromkeys((subject.claims.min_n_layer, 1)):
            cut = _cut(example, layers, least=form)
            answer = _answer(subject, cut)
            if not isinstance(answer, Misbehaviour):
                break
        reference, allowed = cut.reference(dtype)
        real = example.batch.mask
        if not_logits(cut, answer):
            errors.append((np.inf, float(allowed.max())))
        else:
            off = excess(answer[real], reference[real], 1.0)
            errors.append((off, float(allowed.max())))
    return errors


def _ordinary(config: Config, claims: Claims, dtype: str) -> tuple[ModelExample, ...]:
    """Models under the same switches, with room for tokens, layers and heads."""
    sizes = {"n_embd": 6, "n_head": 2, "n_layer": 3, "vocab_size": 7, "n_positions": 8}
    return _with_room(tuple(sorted(claims.nearest(config | sizes).items())), dtype)


@functools.lru_cache
def _with_room(items: tuple[tuple[str, Any], ...], dtype: str) -> tuple[ModelExample, ...]:
    """The same examples for every subject, so that what is known of them is worked out once."""
    config, examples = dict(items), []
    length = min(5, config["n_positions"])
    for seed in range(3):
        for scale in (1.0, config["layer_norm_epsilon"] ** 0.5):
            weights = build_weights("trained", seed, config)
            weights["wte.weight"] *= np.float32(scale)  # small: layer norm's epsilon matters too
            batch = build_batch("none", seed, [length], length, config["vocab_size"])
            examples.append(ModelExample(config, exact_in(dtype, weights), batch))
    return tuple(examples)


@remembered
def _built(
    base: ModelExample, rung: Rung, silent: tuple[Change, ...], dtype: str, least: int
) -> ModelExample:
    """The base, cut to the rung's layers and its first real tokens, with later parts asleep.

    silent: more that is to sleep. least: at least so many layers, asleep beyond the rung's.
    """
    row = base.batch.rows[0][: rung.tokens]
    batch = Batch(row[None], np.ones((1, len(row)), bool))
    cut = _cut(replace(base, batch=batch), rung.layers, least=least)
    weights, config = dict(cut.weights), dict(cut.config)
    for change in (*rung.asleep, *silent):
        change(weights, config, dtype)
    recipe = f"{base.weights.recipe} up to {rung.component}"
    return replace(cut, config=config, weights=Weights(weights, recipe))


def _cut(example: ModelExample, layers: int, *, least: int = 0) -> ModelExample:
    """The example with its first layers alone; and, up to `least`, with layers that do nothing."""
    deep = example.config["n_layer"]
    config = example.config | {"n_layer": max(min(layers, deep), least)}
    weights: dict[str, Array] = {}
    for name, shape in weight_shapes(config).items():
        layer = int(name.split(".")[1]) if name.startswith("h.") else -1
        if layer < min(layers, deep):
            weights[name] = example.weights[name]
        else:
            ones = name.endswith(("ln_1.weight", "ln_2.weight"))
            weights[name] = np.full(shape, float(ones), np.float32)
    recipe = f"{example.weights.recipe}, {layers} layers"
    return replace(example, config=config, weights=Weights(weights, recipe))


def _silenced(example: ModelExample, silent: tuple[Change, ...], dtype: str) -> ModelExample:
    if not silent:
        return example
    weights, config = dict(example.weights), dict(example.config)
    for change in silent:
        change(weights, config, dtype)
    recipe = f"{example.weights.recipe}, parts asleep"
    return replace(example, config=config, weights=Weights(weights, recipe))


def _beyond_one_block(
    subject: Subject,
    bases: Sequence[ModelExample],
    silent: tuple[Change, ...],
    dtype: str,
    *,
    already: bool,
) -> Iterator[Divergence]:
    whole = [_silenced(base, silent, dtype) for base in bases]
    alone = [_unpadded(base) for base in whole]
    least = subject.claims.min_n_layer
    for layers in range(2, max(base.config["n_layer"] for base in bases) + 1):
        for base in alone:
            if base.config["n_layer"] >= layers and (
                wrong := _first_wrong(subject, _cut(base, layers, least=least), dtype)
            ):
                yield _in_layer(subject, base, layers - 1, silent, dtype) or _divergence(
                    "a later layer", layers - 1, wrong, dtype
                )
                return
    for name, examples in (("these weights", alone), ("padding, or several rows", whole)):
        for base in examples:
            if wrong := _first_wrong(subject, base, dtype):
                # Beside another place, what no rung shows may well be more of the same.
                if name != "these weights" or not already:
                    yield _divergence(name, None, wrong, dtype)
                return


def _in_layer(
    subject: Subject,
    base: ModelExample,
    layer: int,
    silent: tuple[Change, ...],
    dtype: str,
) -> Divergence | None:
    """The part of a layer that is wrong with what comes to it, though it stand first.

    None where it is right there, so that it is wrong for being a later one.
    """
    alone = _put_first(base, layer, dtype)
    for rung in RUNGS:
        if rung.layers and (wrong := _first_wrong_at(subject, [alone], rung, silent, dtype)):
            return _divergence(rung.component, layer, wrong, dtype)
    return None


def _put_first(base: ModelExample, layer: int, dtype: str) -> ModelExample:
    """One layer as a whole model, whose position embedding gives it what it is given in base."""
    tensors = {name: torch.tensor(array).double() for name, array in base.weights.items()}
    tokens, streams = base.batch.tokens, {}

    def kept(name: str, at: int | None, stream: torch.Tensor) -> torch.Tensor:
        if name == "resid_pre":
            streams[at] = stream.numpy()
        return stream

    with torch.no_grad():
        model.forward(tensors, base.config, torch.tensor(tokens), tap=kept)
    weights = {
        name.replace(f"h.{layer}.", "h.0."): array.copy()
        for name, array in base.weights.items()
        if not name.startswith("h.") or name.startswith(f"h.{layer}.")
    }
    given = streams[layer][0] - weights["wte.weight"][tokens[0]]
    weights["wpe.weight"][: len(given)] = given
    if base.config["scale_attn_by_inverse_layer_idx"]:
        weights["h.0.attn.c_attn.weight"][:, : base.config["n_embd"]] /= layer + 1
        weights["h.0.attn.c_attn.bias"][: base.config["n_embd"]] /= layer + 1
    recipe = f"layer {layer} of {base.weights.recipe}"
    config = base.config | {"n_layer": 1}
    return replace(base, config=config, weights=exact_in(dtype, Weights(weights, recipe)))


def _unpadded(base: ModelExample) -> ModelExample:
    row = max(base.batch.rows, key=len)
    return replace(base, batch=Batch(row[None], np.ones((1, len(row)), bool)))


def _layer(rung: Rung) -> int | None:
    return 0 if rung.layers and rung.component != "residual stream" else None


def _answer(subject: Subject, example: ModelExample) -> Any:
    try:
        return example.ask(subject)
    except Misbehaviour as misbehaviour:
        return misbehaviour


def _first_wrong(subject: Subject, example: ModelExample, dtype: str) -> Seen | None:
    answer = _answer(subject, example)
    if isinstance(answer, Misbehaviour):
        return None
    finding = judge_logits(dtype, example, answer)
    return Seen(example, answer, finding) if finding.verdict == MISMATCH else None


def _divergence(component: str, layer: int | None, wrong: Seen, dtype: str) -> Divergence:
    example, answer, finding = wrong.example, wrong.answer, wrong.finding
    row, position = 0, 0
    if not not_logits(example, answer):
        reference, allowed = example.reference(dtype)
        with np.errstate(invalid="ignore"):
            off = ~(np.abs(answer - reference) <= allowed).all(-1) & example.batch.mask
        row, position = (int(i) for i in np.argwhere(off)[0])
    return Divergence(component, layer, row, position, finding.error, finding.says, example, answer)
