"""Where a model first goes wrong, found through its logits alone.

Every part of GPT-2 can be put to sleep by its weights: a projection of zeros adds nothing to the
residual stream, queries of zeros look evenly at all keys, equal rows of an embedding say nothing
about the token. So the model is built up again, rung by rung, each waking one part more; where the
logits are wrong for the first time, that part is wrong.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from oracle.adapters.guard import Misbehaviour
from oracle.adapters.subject import Subject
from oracle.bounds._compare import excess
from oracle.bounds._rounding import Array
from oracle.conformance._check import MISMATCH
from oracle.conformance._model_examples import ModelExample, exact_in, judge_logits, not_logits
from oracle.conformance._outcome import Seen
from oracle.conformance._remembered import remembered
from oracle.strategies._configs import Config
from oracle.strategies._tokens import Batch, build_batch
from oracle.strategies._weights import Weights, build_weights

Change: TypeAlias = Callable[[dict[str, Array], Config], None]


@dataclass(frozen=True)
class Divergence:
    """The first part that is wrong.

    component: its name, of RUNGS, or what is said of a whole model. layer: from 0, or None where it
    stands outside of all layers. row, position: the first wrong logits of the example. error: as a
    part of what rounding may do. says: what is seen there. example: what shows it.
    """

    component: str
    layer: int | None
    row: int
    position: int
    error: float
    says: str
    example: ModelExample


@dataclass(frozen=True)
class Rung:
    """A part that wakes. layers: how many there are. tokens: how many of the row are put in.

    asleep: what takes from full weights all that wakes on a later rung.
    """

    component: str
    layers: int
    tokens: int | None
    asleep: tuple[Change, ...]


def _fill(value: float, *names: str) -> Change:
    def change(weights: dict[str, Array], config: Config) -> None:
        for name in weights:
            if name.endswith(names):
                weights[name] = np.full_like(weights[name], value)

    return change


def _no_positions(weights: dict[str, Array], config: Config) -> None:
    weights["wpe.weight"] = np.zeros_like(weights["wpe.weight"])


def _one_token(weights: dict[str, Array], config: Config) -> None:
    weights["wte.weight"] = np.repeat(weights["wte.weight"][:1], config["vocab_size"], axis=0)


def _queries_and_keys(part: str) -> Change:
    def change(weights: dict[str, Array], config: Config) -> None:
        for name in weights:
            if name.endswith(f"attn.c_attn.{part}"):
                weights[name] = weights[name].copy()
                weights[name][..., : 2 * config["n_embd"]] = 0

    return change


def _no_epsilon(weights: dict[str, Array], config: Config) -> None:
    config["layer_norm_epsilon"] = 1e-12  # so the size of what is normalised does not matter


ATTENTION = _fill(0, "attn.c_proj.weight", "attn.c_proj.bias")
MLP = _fill(0, "mlp.c_proj.weight", "mlp.c_proj.bias")
EVEN = (_queries_and_keys("weight"), _queries_and_keys("bias"))

RUNGS = (
    Rung(
        "output head, or the final layer norm's bias",
        0,
        None,
        (_no_positions, _one_token, _fill(0, "ln_f.weight")),
    ),
    Rung("final layer norm", 0, None, (_no_positions, _one_token, _no_epsilon)),
    Rung(
        "final layer norm's epsilon, or the size of the token embedding",
        0,
        None,
        (_no_positions, _one_token),
    ),
    Rung("token embedding", 0, None, (_no_positions,)),
    Rung("position embedding", 0, None, ()),
    Rung("residual stream", 1, None, (ATTENTION, MLP)),
    Rung("MLP output bias", 1, 1, (ATTENTION, _fill(0, "mlp.c_proj.weight"))),
    Rung(
        "activation function, or MLP output projection",
        1,
        1,
        (ATTENTION, _fill(0, "mlp.c_fc.weight")),
    ),
    Rung("MLP input projection", 1, 1, (ATTENTION, _fill(0, "ln_2.weight"))),
    Rung("layer norm before the MLP", 1, 1, (ATTENTION,)),
    Rung("attention output bias", 1, 1, (MLP, _fill(0, "attn.c_proj.weight"))),
    Rung(
        "attention output projection, or attention to one key",
        1,
        1,
        (MLP, *EVEN, _fill(0, "attn.c_attn.weight")),
    ),
    Rung("value projection", 1, 1, (MLP, *EVEN, _fill(0, "ln_1.weight"))),
    Rung("layer norm before attention", 1, 1, (MLP, *EVEN)),
    Rung("attention scores of one key", 1, 1, (MLP,)),
    Rung("causal mask", 1, None, (MLP, *EVEN)),
    Rung("attention scores", 1, None, (MLP,)),
    Rung("attention and MLP together", 1, None, ()),
)


def localise(subject: Subject, failing: Sequence[ModelExample], *, dtype: str) -> Divergence | None:
    """The first divergence, or None where each rung, and all that failed, is now right.

    failing: examples that the subject gets wrong, the smallest first.
    """
    bases = [*_ordinary(failing[0].config, dtype), *failing[:2]]
    # At width 1 a layer norm is its bias, so what fails there says little of where.
    wide = [base for base in bases if base.config["n_embd"] > 1]
    for rung in RUNGS:
        for base in wide:
            if found := _first_wrong(subject, _built(base, rung), dtype):
                return _divergence(rung.component, _layer(rung), found, dtype)
    return _beyond_one_block(subject, bases, dtype)


def localise_all(
    subject: Subject, failing: Sequence[ModelExample], *, dtype: str
) -> tuple[Divergence, ...]:
    """All divergences that can be told apart, the first place first."""
    first = localise(subject, failing, dtype=dtype)
    return () if first is None else (first,)


def depths(subject: Subject, example: ModelExample, *, dtype: str) -> list[tuple[float, float]]:
    """The largest error with 0, 1, 2 … of the example's layers, and what rounding allows there."""
    found = []
    for layers in range(example.config["n_layer"] + 1):
        cut = _cut(example, layers)
        answer = _answer(subject, cut)
        reference, allowed = cut.reference(dtype)
        real = example.batch.mask
        if not_logits(cut, answer):
            found.append((np.inf, float(allowed.max())))
        else:
            off = excess(answer[real], reference[real], 1.0)
            found.append((off, float(allowed.max())))
    return found


def _ordinary(config: Config, dtype: str) -> tuple[ModelExample, ...]:
    """Models under the same switches, with room for tokens, layers and heads."""
    roomy = config | {"n_embd": 6, "n_head": 2, "n_layer": 3, "vocab_size": 7, "n_positions": 8}
    return _with_room(tuple(sorted(roomy.items())), dtype)


@functools.lru_cache
def _with_room(items: tuple[tuple[str, Any], ...], dtype: str) -> tuple[ModelExample, ...]:
    """The same examples for every subject, so that what is known of them is worked out once."""
    config, found = dict(items), []
    for seed in range(3):
        for scale in (1.0, config["layer_norm_epsilon"] ** 0.5):
            weights = build_weights("trained", seed, config)
            weights["wte.weight"] *= np.float32(scale)  # small: layer norm's epsilon matters too
            batch = build_batch("none", seed, [5], 5, config["vocab_size"])
            found.append(ModelExample(config, exact_in(dtype, weights), batch))
    return tuple(found)


@remembered
def _built(base: ModelExample, rung: Rung) -> ModelExample:
    """The base, cut to the rung's layers and its first real tokens, with later parts asleep."""
    row = base.batch.rows[0][: rung.tokens]
    batch = Batch(row[None], np.ones((1, len(row)), bool))
    cut = _cut(replace(base, batch=batch), min(rung.layers, base.config["n_layer"]))
    weights, config = dict(cut.weights), dict(cut.config)
    for change in rung.asleep:
        change(weights, config)
    recipe = f"{base.weights.recipe} up to {rung.component}"
    return replace(cut, config=config, weights=Weights(weights, recipe))


def _cut(example: ModelExample, layers: int) -> ModelExample:
    """The example with its first layers alone."""
    weights = {
        name: array
        for name, array in example.weights.items()
        if not name.startswith("h.") or int(name.split(".")[1]) < layers
    }
    recipe = f"{example.weights.recipe}, {layers} layers"
    return replace(
        example, config=example.config | {"n_layer": layers}, weights=Weights(weights, recipe)
    )


def _beyond_one_block(
    subject: Subject, bases: Sequence[ModelExample], dtype: str
) -> Divergence | None:
    alone = [_unpadded(base) for base in bases]
    for layers in range(2, max(base.config["n_layer"] for base in bases) + 1):
        for base in alone:
            if base.config["n_layer"] >= layers and (
                found := _first_wrong(subject, _cut(base, layers), dtype)
            ):
                return _divergence("a later layer", layers - 1, found, dtype)
    for name, some in (("these weights", alone), ("padding, or several rows", bases)):
        for base in some:
            if found := _first_wrong(subject, base, dtype):
                return _divergence(name, None, found, dtype)
    return None


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
    finding = judge_logits(dtype, example, answer)
    return Seen(example, answer, finding) if finding.verdict == MISMATCH else None


def _divergence(component: str, layer: int | None, found: Seen, dtype: str) -> Divergence:
    example, answer, finding = found.example, found.answer, found.finding
    row, position = 0, 0
    if not not_logits(example, answer):
        reference, allowed = example.reference(dtype)
        with np.errstate(invalid="ignore"):
            off = ~(np.abs(answer - reference) <= allowed).all(-1) & example.batch.mask
        row, position = (int(i) for i in np.argwhere(off)[0])
    return Divergence(component, layer, row, position, finding.error, finding.says, example)
