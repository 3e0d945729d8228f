"""What every decoder gives back."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Generation:
    """The result rows, those of a prompt together; each field has one entry a row.

    prompts: the index of the row's prompt. sequences: prompt and generated tokens, without
    padding. stopped: "no_candidates", "eos", "stop_string", "constraint_unmet" or "length".
    logprobs: for each generated token its log-probability under the model alone. scores: the
    processed scores, float64 (generated, vocab) on the CPU, that it was chosen from.

    margins: for each decision on the way, how far every logit of the model (of every row, at every
    step) may move without changing it; a bound from below, as a rounding error in float64 is not
    counted. In beams the decisions are those of all the prompt's beams, one number a step and one
    for the ranking of results; in contrastive search hidden states may be off by the same, as a
    part of their length.

    sequence_scores, beam_indices: of beams only. A beam's score is Σ scores / generated^penalty;
    its indices say, for each token, which of its prompt's running beams it went on from.
    """

    prompts: tuple[int, ...]
    sequences: tuple[tuple[int, ...], ...]
    stopped: tuple[str, ...]
    logprobs: tuple[tuple[float, ...], ...]
    scores: tuple[Tensor, ...]
    margins: tuple[tuple[float, ...], ...]
    sequence_scores: tuple[float, ...] | None = None
    beam_indices: tuple[tuple[int, ...], ...] | None = None
