"""transformers as a referee: its GPT-2 made of plain arrays, its logits, and its verdicts.

Importing this module skips the importing tests where transformers is not installed.
"""

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oracle.bounds._noise import measure
from oracle.bounds._rounding import gamma
from tests.helpers.decision_verdicts import MATCH, MISMATCH, TIE, chosen, drawn, undecided
from tests.helpers.real_data import mgm_checkpoint

transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed; run `tox -e peer`"
)

VERSION = tuple(int(part) for part in transformers.__version__.split(".")[:2])

_DTYPE = "dtype" if VERSION >= (4, 56) else "torch_dtype"
# transformers gives a model these token ids where it is told none; here they are no special ones.
_NO_TOKENS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}


@dataclass(frozen=True)
class Subject:
    """A checkpoint on disk, with what transformers reads from it: float32 arrays by plain names."""

    folder: Path
    weights: Mapping[str, np.ndarray]
    config: Mapping[str, Any]
    reference: Any  # transformers' model in float64


def build(weights: Mapping[str, np.ndarray], config: Mapping[str, Any], **options: Any) -> Any:
    """transformers' model of these weights; options: `dtype`, `attn_implementation`.

    float64 and "eager", which honours every field of the config, unless asked for others.
    """
    dtype = options.pop("dtype", torch.float64)
    settings = transformers.GPT2Config(
        **{**_NO_TOKENS, **config}, **{"attn_implementation": "eager", **options}
    )
    model = transformers.GPT2LMHeadModel(settings)
    tensors = {
        name if name == "lm_head.weight" else f"transformer.{name}": torch.from_numpy(array)
        for name, array in weights.items()
    }
    tensors.setdefault("lm_head.weight", tensors["transformer.wte.weight"])
    model.load_state_dict(tensors)  # complains of any name that is missing or unexpected
    return model.to(dtype).eval()


def open_folder(folder: Path, *, dtype: torch.dtype = torch.float64) -> Any:
    """transformers' model of a folder, which must hold all tensors that it wants and no others."""
    model, report = transformers.GPT2LMHeadModel.from_pretrained(
        folder, attn_implementation="eager", output_loading_info=True, **{_DTYPE: dtype}
    )
    assert not any(report.values()), report
    return model.eval()


def plain_weights(model: Any) -> dict[str, np.ndarray]:
    """A model's weights as arrays named as npgpt and the oracle name them; a tied head left out."""
    state = {
        name.removeprefix("transformer."): tensor.numpy()
        for name, tensor in model.state_dict().items()
    }
    if model.config.tie_word_embeddings:
        del state["lm_head.weight"]
    return state


def positions_of(mask: np.ndarray) -> np.ndarray:
    """The running count of real tokens: transformers' `forward` is to be told, `generate` knows."""
    return np.maximum(mask.cumsum(axis=1) - 1, 0)


def logits_of(model: Any, tokens: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """transformers' logits (batch, query, vocab) of tokens (batch, query), as float64."""
    mask = np.ones(tokens.shape, bool) if mask is None else mask
    with torch.no_grad():
        output = model(
            torch.from_numpy(tokens),
            attention_mask=torch.from_numpy(mask.astype(np.int64)),
            position_ids=torch.from_numpy(positions_of(mask)),
            use_cache=False,
        )
    return output.logits.double().numpy()


def padded(rows: Sequence[Sequence[int]], side: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ids as a rectangle and its mask, padded with id 0 on the "left" or "right".

    >>> padded([[5, 6], [7]], "left")[0].tolist()
    [[5, 6], [0, 7]]
    """
    width = max(map(len, rows))
    tokens = np.zeros((len(rows), width), np.int64)
    mask = np.zeros((len(rows), width), bool)
    for index, row in enumerate(rows):
        place = slice(width - len(row), width) if side == "left" else slice(len(row))
        tokens[index, place], mask[index, place] = row, True
    return tokens, mask


@functools.cache
def trained() -> Subject:
    """The trained checkpoint of `real_data.mgm_checkpoint`, as transformers reads it."""
    folder = mgm_checkpoint()
    model = open_folder(folder, dtype=torch.float32)
    config = model.config.to_dict()
    fields = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
    return Subject(
        folder,
        plain_weights(model),
        {name: config[name] for name in fields},
        open_folder(folder),
    )


def noise(row: Sequence[int], dtype: str) -> float:
    """How far a `dtype` run of the trained checkpoint may be from `trained().reference`, on a row.

    In float64 the reference rounds as much as the candidate, so each side has its allowance.
    """
    return _noise(tuple(row), dtype) * (2 if dtype == "float64" else 1)


@functools.cache
def _noise(row: tuple[int, ...], dtype: str) -> float:
    subject = trained()
    return measure(subject.weights, subject.config, np.array(row), dtype=dtype).allowed()


def processed(
    settings: Mapping[str, Any], row: Sequence[int], prompt: int, logits: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What transformers' processors make of one row's logits (vocab,), before and after filtering.

    row: the tokens so far, of which `prompt` are the prompt. The order is `generate`'s own, which
    `peer/test_processors.py` holds npgpt to.
    """
    s, kit, eos = settings, transformers.generation.logits_process, settings.get("eos_token_id")
    tokens, scores = torch.tensor([list(row)]), torch.from_numpy(logits)[None]
    shape = [
        ("repetition_penalty", lambda v: kit.RepetitionPenaltyLogitsProcessor(float(v))),
        ("min_length", lambda v: kit.MinLengthLogitsProcessor(v, eos)),
        ("min_new_tokens", lambda v: kit.MinNewTokensLengthLogitsProcessor(prompt, v, eos)),
        ("temperature", lambda v: kit.TemperatureLogitsWarper(float(v))),
    ]
    filters = [
        ("top_k", lambda v: kit.TopKLogitsWarper(v)),
        ("top_p", lambda v: kit.TopPLogitsWarper(float(v))),
    ]
    for name, make in shape:
        scores = make(s[name])(tokens, scores) if name in s else scores
    before = scores[0].numpy().copy()
    for name, make in filters:
        scores = make(s[name])(tokens, scores) if name in s else scores
    return before, scores[0].numpy()


def judge(
    settings: Mapping[str, Any],
    row: Sequence[int],
    prompt: int,
    logits: np.ndarray,
    allowed: float,
    *,
    scores: Sequence[np.ndarray] = (),
    uniforms: np.ndarray | None = None,
) -> Counter[str]:
    """Verdicts on each new token of a finished row, given the row itself up to there.

    logits (len(row), vocab): the reference's, each within `allowed` of what the candidate may
    have. With `scores`, those that the candidate chose by, its filtered distributions are judged
    too, and with `uniforms` its draws; without, its greedy choices.
    """
    verdicts: Counter[str] = Counter()
    penalty, heat = settings.get("repetition_penalty", 1.0), settings.get("temperature", 1.0)
    for step, token in enumerate(row[prompt:]):
        end = prompt + step
        before, after = processed(settings, row[:end], prompt, logits[end - 1])
        within = allowed * max(penalty, 1 / penalty) / heat
        either = undecided(before, within, k=settings.get("top_k"), p=settings.get("top_p"))
        if len(scores):
            verdicts[_distribution(scores[step], after, within, either)] += 1
        if uniforms is None:
            verdicts[chosen(after, token, within)] += 1
        else:
            kept = np.exp(after - before.max()).sum()
            moved = float(np.exp(before[either] - before.max()).sum() / kept)
            verdicts[drawn(after, token, uniforms[step], within, moved=moved)] += 1
    return verdicts


def _distribution(
    scores: np.ndarray, reference: np.ndarray, allowed: float, either: np.ndarray
) -> str:
    """Whether the candidate kept the tokens that the reference did, with the same scores."""
    kept, wanted = scores > -np.inf, reference > -np.inf
    rounding = gamma(4, scores.dtype) * np.abs(reference)
    with np.errstate(invalid="ignore"):
        off = np.abs(scores.astype(np.float64) - reference) > allowed + rounding
    if ((kept != wanted) & ~either).any() or off[kept & wanted].any():
        return MISMATCH
    return MATCH if (kept == wanted).all() else TIE
