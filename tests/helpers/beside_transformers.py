"""One model, one set of settings: what npgpt's decoders make of it, and what transformers' do.

Both compute in float64, but transformers rounds the logits to float32 before it processes them, and
sums a beam's scores in float32. So its choice may honestly be another one where it hangs on less
than that: a tie. What that is, is tried out: a disagreement is a TIE if npgpt makes transformers'
choices with weights that are off by a few roundings of float32, and else a MISMATCH.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from npgpt import GPT
from npgpt._config import Config
from npgpt.model._parameters import from_arrays
from oracle.bounds._noise import measure
from oracle.bounds._rounding import gamma
from oracle.strategies._weights import build_weights, weight_shapes
from tests.helpers.decision_verdicts import MATCH, MISMATCH, TIE
from tests.helpers.transformers_gpt2 import VERSION, build, padded, trained

TRIES = 30  # disturbed runs in search of a tie
ROUNDINGS = 8  # by how many roundings of float32 each weight is off in them
# Between a logit and its score: rounded, a penalty, a bias, a power, a temperature, each twice.
STEPS = 24

# transformers pads rows with the last id, which no test lets either side generate.
TINY = {
    "vocab_size": 20,
    "n_positions": 32,
    "n_embd": 8,
    "n_layer": 2,
    "n_head": 2,
    "n_inner": None,
    "tie_word_embeddings": True,
}
PAD = TINY["vocab_size"] - 1


@dataclass(frozen=True)
class Pair:
    """The same weights in both libraries, in float64."""

    weights: Mapping[str, np.ndarray]
    config: Mapping[str, Any]
    model: Any
    pad: int

    def single(self) -> "Pair":
        """With transformers' model in float32, for what it cannot do in float64."""
        model = build(self.weights, self.config, dtype=torch.float32)
        return dataclasses.replace(self, model=model)

    def noise(self, row: Sequence[int]) -> float:
        """How far float32 logits after a row may be off."""
        return measure(self.weights, self.config, np.array(row), dtype="float32").allowed()

    def gpt(self, seed: int | None = None) -> GPT:
        """npgpt's; with a seed, each weight is up to ROUNDINGS roundings of float32 off."""
        rng, known = np.random.default_rng(seed), Config(**self.config)
        off = 0.0 if seed is None else ROUNDINGS * gamma(1, "float32")
        arrays = {
            name: array.astype(np.float64) * (1 + off * rng.uniform(-1, 1, array.shape))
            for name, array in self.weights.items()
        }
        return GPT(known, from_arrays(arrays, known))


@functools.cache
def tiny(seed: int) -> Pair:
    weights = build_weights("trained", seed, TINY)
    return Pair(weights, TINY, build(weights, TINY), PAD)


@functools.cache
def real() -> Pair:
    """The trained checkpoint. Its own settings, an end of text among them, hold on neither side."""
    subject = trained()
    model = build(subject.weights, subject.config)
    return Pair(subject.weights, subject.config, model, subject.config["vocab_size"] - 1)


@dataclass(frozen=True)
class Found:
    """What a decoder found: the new tokens of each row, what they score, and each step's scores."""

    new: tuple[tuple[int, ...], ...]
    sequence_scores: tuple[float, ...] | None
    scores: tuple[tuple[np.ndarray, ...], ...]
    largest: float = 0.0  # logit

    def without_steps(self) -> "Found":
        return dataclasses.replace(self, scores=((),) * len(self.new))


class NothingLeft(Exception):  # noqa: N818
    """More tokens are to be drawn than there are."""


def theirs(
    pair: Pair, prompts: Sequence[Sequence[int]], *, unindexed: bool = False, **settings: Any
) -> Found:
    """transformers' `generate` of a batch padded on the left.

    unindexed: without each step's scores, where it does not tell well of which beam they are.
    """
    output, width = raw(pair, prompts, **settings)
    eos = set(eos_of(settings))
    new = [_cut(row[width:], eos, pair.pad) for row in output.sequences.tolist()]
    scores, beams = [step.double().numpy() for step in output.scores], settings.get("num_beams", 1)
    totals = tuple(output.sequences_scores.tolist()) if beams > 1 else None
    largest = max(float(step.abs().max()) for step in output.logits)
    if unindexed:
        return Found(tuple(new), totals, ((),) * len(new), largest)
    parents = output.beam_indices.tolist() if beams > 1 else None
    picked = tuple(
        tuple(
            scores[step][row if parents is None else parents[row][step]]
            for step in range(len(tokens))
        )
        for row, tokens in enumerate(new)
    )
    return Found(tuple(new), totals, picked, largest)


def raw(pair: Pair, prompts: Sequence[Sequence[int]], **settings: Any) -> tuple[Any, int]:
    """transformers' own output, and the width of its prompts."""
    tokens, mask = padded(prompts, "left")
    tokens[~mask] = pair.pad
    if settings.get("do_sample"):
        settings.setdefault("top_k", 0)
    output = pair.model.generate(
        torch.from_numpy(tokens),
        attention_mask=torch.from_numpy(mask.astype(np.int64)),
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,
        **{"pad_token_id": pair.pad, "eos_token_id": None, **settings},
    )
    return output, tokens.shape[1]


def ours(gpt: GPT, prompts: Sequence[Sequence[int]], **settings: Any) -> Found:
    result = gpt.generate(prompts, output_scores=True, **settings)
    totals = result.sequence_scores
    return Found(
        tuple(map(tuple, result.new_tokens)),
        None if totals is None else tuple(totals),
        tuple(map(tuple, result.scores)),
    )


def one_eos(found: Found, eos: Sequence[int]) -> Found:
    """The rows as beams of version 4.49 give them: ended by the first id, whichever ended them."""
    if VERSION[0] > 4 or len(eos) < 2:
        return found
    new = tuple((*row[:-1], eos[0]) if row[-1] in eos else row for row in found.new)
    return dataclasses.replace(found, new=new)


def verdict(pair: Pair, run: Callable[[GPT], Any], wanted: Any) -> str:
    """Whether `run` makes `wanted` of npgpt's model, or does so but for rounding."""
    if run(pair.gpt()) == wanted:
        return MATCH
    return TIE if any(run(pair.gpt(seed)) == wanted for seed in range(TRIES)) else MISMATCH


def amplified(settings: Mapping[str, Any], steps: int) -> float:
    """How much larger than a logit's error that of its score may be."""
    penalty, guidance = settings.get("repetition_penalty", 1.0), settings.get("guidance_scale", 1.0)
    _, factor = settings.get("exponential_decay_length_penalty", (0, 1.0))
    heat = settings.get("temperature", 1.0)
    return float(max(penalty, 1 / penalty) * (2 * guidance - 1) * 2 * factor**steps / heat)


def assert_same_scores(
    found: Found, wanted: Found, pair: Pair, settings: Mapping[str, Any], *, noise: float = 0.0
) -> int:
    """Scores of equal tokens are equal but for rounding; how often a filter kept another set.

    noise: how far transformers' logits may be off, beside their rounding to float32.
    """
    other_sets = 0
    for row, (steps, references) in enumerate(zip(found.scores, wanted.scores, strict=True)):
        tokens = len(found.new[row])
        amplification = amplified(settings, tokens)

        def limit(reference: np.ndarray, amplification: float = amplification) -> float:
            """A sum over the vocabulary rounds once for each term, as large as the largest."""
            largest = max(np.abs(reference).max(initial=0), wanted.largest)
            rounding = gamma(pair.config["vocab_size"] + STEPS, "float32") * float(largest)
            return amplification * (rounding + 2 * noise)

        for mine, reference in zip(steps, references, strict=True):
            kept, theirs_kept = mine > -np.inf, reference > -np.inf
            other_sets += not (kept == theirs_kept).all()
            both = kept & theirs_kept
            off = np.abs(mine[both] - reference[both]).max(initial=0)
            assert off <= limit(reference[both])
        if wanted.sequence_scores is not None and found.sequence_scores is not None:
            mine, reference = found.sequence_scores[row], wanted.sequence_scores[row]
            length = tokens ** settings.get("length_penalty", 1.0)
            # The sum has a rounding for each of its terms, which no more than double it.
            terms = tokens * limit(np.array([2 * reference * length]))
            assert abs(mine - reference) <= terms / length
    return other_sets


def eos_of(settings: Mapping[str, Any]) -> list[int]:
    eos = settings.get("eos_token_id")
    return [] if eos is None else [eos] if isinstance(eos, int) else list(eos)


def _cut(row: Sequence[int], eos: set[int], pad: int) -> tuple[int, ...]:
    """The row up to its end-of-text token, or up to the padding after it."""
    kept = []
    for token in row:
        if token == pad:
            break
        kept.append(token)
        if token in eos:
            break
    return tuple(kept)


def feed(monkeypatch: Any, uniforms: np.ndarray, *, ranked: bool = False) -> None:
    """Let torch.multinomial draw with these uniforms (rows, steps[, draws]), as npgpt does.

    Each draw is by inverse CDF over what is left, in order of id, summed in float64. ranked: give
    the draws of a row by falling probability, not in order of drawing.
    """
    step = iter(range(uniforms.shape[1]))

    def draw(probabilities: torch.Tensor, num_samples: int, **_: Any) -> torch.Tensor:
        at, rows = next(step), []
        for row, weights in enumerate(probabilities.double().numpy()):
            left, drawn = weights.copy(), []
            for uniform in np.atleast_1d(uniforms[row, at])[:num_samples]:
                cumulative = np.cumsum(left)
                if not cumulative[-1]:
                    raise NothingLeft
                drawn.append(int(np.searchsorted(cumulative / cumulative[-1], uniform, "right")))
                left[drawn[-1]] = 0
            rows.append(sorted(drawn, key=lambda id: (-weights[id], id)) if ranked else drawn)
        return torch.tensor(rows)

    monkeypatch.setattr(torch, "multinomial", draw)


def bigram(table: np.ndarray, *, pad: int = 0, positions: int = 32) -> Pair:
    """A model whose logits after a token are that token's row of `table` (vocab, vocab).

    One block that adds nothing. An embedding is one 1 among zeros; ln_f makes of it one number
    among equals, its bias takes those to zero, and the head is the table over what is left.
    """
    size = len(table)
    config = {
        "vocab_size": size,
        "n_positions": positions,
        "n_embd": size,
        "n_layer": 1,
        "n_head": 1,
        "n_inner": 1,
        "tie_word_embeddings": False,
    }
    shapes = weight_shapes({**config, "n_inner": 1})
    weights = {name: np.zeros(shape) for name, shape in shapes.items()}
    normed = 1 / np.sqrt(1 / size * (1 - 1 / size) + 1e-5)
    weights["wte.weight"] = np.eye(size)
    weights["ln_f.weight"] = np.full(size, 1 / normed)
    weights["ln_f.bias"] = np.full(size, 1 / size)
    weights["lm_head.weight"] = np.asarray(table, np.float64).T
    single = {name: array.astype(np.float64) for name, array in weights.items()}
    return Pair(single, config, build(single, config), pad)
