"""What changes scores before a choice, each a pure function: scores in, scores out.

scores: float64 (rows, vocab), s below; -inf rules a token out, for good but where a token is
forced. tokens: the ids of each row, prompt included. generated: those after the prompt. Nothing
depends on another row. The filters of sampling are in `oracle.decoding._filters`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from oracle.decoding._rows import Tokens, counts, ends_with, right_aligned
from oracle.ops._softmax import log_softmax

Rows = Sequence[Tokens]


def guidance(conditional: Tensor, negative: Tensor, scale: float) -> Tensor:
    """log p_neg + scale · (log p_cond - log p_neg), both over the whole vocabulary.

    Ruled out where p_cond is 0; where p_neg alone is 0 its part is dropped: scale · log p_cond.
    Source: Sanchez et al. 2023, https://arxiv.org/abs/2306.17806, equation 7.

    >>> even, leaning = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3), 0.0]])
    >>> guidance(leaning, even, 2.0).exp().round(decimals=4).tolist()  # 9/16 / (1/2), 1/16 / (1/2)
    [[1.125, 0.125]]
    """
    for_, against = log_softmax(conditional), log_softmax(negative)
    guided = scale * for_ + torch.where(against == -math.inf, 0, (1 - scale) * against)
    return torch.where(for_ == -math.inf, -math.inf, guided)


def sequence_bias(tokens: Rows, scores: Tensor, biases: Mapping[Tokens, float]) -> Tensor:
    """s + bias for the last token of each sequence that the row ends with the rest of.

    >>> zeros = torch.zeros(1, 3, dtype=torch.float64)
    >>> sequence_bias([[0, 1]], zeros, {(2,): 1.0, (1, 2): 0.5, (0, 2): 4.0}).tolist()
    [[0.0, 0.0, 1.5]]
    """
    added = torch.zeros_like(scores)
    for sequence, bias in biases.items():
        *before, last = sequence
        added[:, last] += torch.where(ends_with(tokens, before, scores.device), bias, 0.0)
    return torch.where(scores == -math.inf, scores, scores + added)


def diversity_penalty(scores: Tensor, taken: Tensor, penalty: float) -> Tensor:
    """s - penalty · taken, the times that earlier groups took the token in this step.

    Source: Vijayakumar et al. 2016, "Diverse Beam Search", https://arxiv.org/abs/1610.02424.
    """
    return scores - penalty * taken


def repetition_penalty(tokens: Rows, scores: Tensor, penalty: float) -> Tensor:
    """s · penalty where s < 0, else s / penalty, once for each token that the row holds.

    Source: Keskar et al. 2019, "CTRL", https://arxiv.org/abs/1909.05858, section 4.1, with the
    sign minded.

    >>> repetition_penalty([[0, 1, 1]], torch.tensor([[2.0, -2.0, 2.0]]), 2.0).tolist()
    [[1.0, -4.0, 2.0]]
    """
    seen = counts(tokens, scores.shape[1], scores.device) > 0
    return torch.where(seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def frequency_penalty(generated: Rows, scores: Tensor, penalty: float) -> Tensor:
    """s - penalty · (how often the token was generated)."""
    return scores - penalty * counts(generated, scores.shape[1], scores.device)


def presence_penalty(generated: Rows, scores: Tensor, penalty: float) -> Tensor:
    """s - penalty where the token was generated before."""
    return scores - penalty * (counts(generated, scores.shape[1], scores.device) > 0)


def no_repeat_ngram(tokens: Rows, scores: Tensor, size: int) -> Tensor:
    """Rule out each token that would end an n-gram of this size that the row already holds.

    >>> no_repeat_ngram([[0, 1, 2, 0, 1]], torch.zeros(1, 3), 3).tolist()
    [[0.0, 0.0, -inf]]
    """
    padded = right_aligned(tokens, scores.device)
    if padded.shape[1] < size:
        return scores
    grams = padded.unfold(1, size, 1)  # rows, places, size
    ending = padded[:, padded.shape[1] - (size - 1) :]
    repeats = (grams[..., :-1] == ending[:, None]).all(-1) & (grams >= 0).all(-1)
    lasts = torch.where(repeats, grams[..., -1], scores.shape[1])
    banned = torch.zeros(len(scores), scores.shape[1] + 1, dtype=torch.bool, device=scores.device)
    return scores.masked_fill(banned.scatter_(1, lasts, True)[:, :-1], -math.inf)


def bad_words(tokens: Rows, scores: Tensor, sequences: Iterable[Tokens]) -> Tensor:
    """Rule out the last token of each sequence that the row ends with the rest of."""
    return sequence_bias(tokens, scores, {tuple(s): -math.inf for s in sequences})


def rule_out(scores: Tensor, tokens: Sequence[int], where: Sequence[bool]) -> Tensor:
    """Rule out these tokens in the rows where `where` holds.

    >>> rule_out(torch.zeros(2, 2), [1], [True, False]).tolist()
    [[0.0, -inf], [0.0, 0.0]]
    """
    banned = torch.zeros_like(scores, dtype=torch.bool)
    banned[:, list(tokens)] = True
    rows = torch.tensor(list(where), dtype=torch.bool, device=scores.device)
    return scores.masked_fill(banned & rows[:, None], -math.inf)


def prefix_allowed(
    tokens: Rows,
    scores: Tensor,
    prompts: Sequence[int],
    allowed: Callable[[int, list[int]], Iterable[int]],
) -> Tensor:
    """Rule out all that allowed(index of the row's prompt, tokens of the row) does not name."""
    kept = torch.zeros_like(scores, dtype=torch.bool)
    for row, (prompt, ids) in enumerate(zip(prompts, tokens, strict=True)):
        kept[row, list(allowed(prompt, list(ids)))] = True
    return scores.masked_fill(~kept, -math.inf)


def force(scores: Tensor, tokens: Sequence[int], where: Sequence[bool]) -> Tensor:
    """0 for these tokens, whatever they had, and -inf for all others, in the rows of `where`.

    >>> force(torch.ones(2, 3), [1, 2], [True, False]).tolist()
    [[-inf, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    forced = torch.full_like(scores, -math.inf)
    forced[:, list(tokens)] = 0
    rows = torch.tensor(list(where), dtype=torch.bool, device=scores.device)
    return torch.where(rows[:, None], forced, scores)


def exponential_decay_length_penalty(
    generated: Rows, scores: Tensor, eos: Sequence[int], start: int, factor: float
) -> Tensor:
    """s + |s| · (factor^(k - start) - 1) for each eos, where k > start tokens were generated.

    >>> exponential_decay_length_penalty([[0] * 5], torch.tensor([[-2.0, 1.0]]), [0], 3, 1.5)
    tensor([[0.5000, 1.0000]])
    """
    over = torch.tensor([len(row) - start for row in generated], device=scores.device)
    growth = (factor ** over.clamp(min=0).double() - 1)[:, None]
    lifted = torch.where(scores == -math.inf, scores, scores + scores.abs() * growth)
    of_eos = torch.zeros_like(scores, dtype=torch.bool)
    of_eos[:, list(eos)] = True
    return torch.where(of_eos, lifted, scores).to(scores.dtype)


def temperature(scores: Tensor, value: float) -> Tensor:
    """s / value; where that would overflow, (s - max s) / value, which chooses alike.

    >>> temperature(torch.tensor([[1.0, 2.0]]), 0.5).tolist()
    [[2.0, 4.0]]
    """
    found = scores / value
    if (found == math.inf).any() or ((found == -math.inf) & (scores > -math.inf)).any():
        found = (scores - scores.amax(-1, keepdim=True)) / value
        return torch.where(scores == -math.inf, scores, found)
    return found
