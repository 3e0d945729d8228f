"""What the rows of a decoder are worth beside the reference's, over toy language models.

Where a row differs, the reference's margins tell by how much every logit must move to turn one of
its decisions:
- Decoders that keep one text a row are judged by the subject's own tokens. Each is compared with
  what the reference puts after the subject's own tokens before it; a token that differs is a TIE
  where that decision hangs on rounding, and the next one is looked at.
- Beams are rescored. Where only the ranking of the results is narrow, other rows are a TIE if their
  scores, under the reference's processed scores, are those of the reference within rounding. Where
  a step on the way is narrow, everything after it may differ, scores too, so that a TIE asks only
  that every row could have come about: no token ruled out, none after the end, none missing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from oracle.bounds._rounding import Array, gamma
from oracle.conformance._boundaries import working
from oracle.conformance._check import MATCH, MISMATCH, TIE, Finding
from oracle.conformance._checks.rows import Rows, read_rows
from oracle.conformance._remembered import remembered
from oracle.decoding import _contrastive as contrastive
from oracle.decoding._decoders import generate
from oracle.decoding._filters import FILTERS
from oracle.decoding._generation import Generation
from oracle.decoding._language_model import LanguageModel, next_scores
from oracle.decoding._pipeline import process
from oracle.decoding._rows import Row, start_rows
from oracle.decoding._stepwise import Decision, decide, ending
from oracle.strategies._decoding_problems import SAMPLING, DecodingProblem, room_of

# Of a score between the logits and a decision: sums of six tokens, each through all processors.
ROUNDINGS = 128
SUMMED = 6  # a further token, or a further one that is counted, is a further rounding
# What a row's last token adds to all its logits: nobody may take them for normalised.
SHIFTS = (0.0, 0.5, 2.0)


def logits_of(toy: Any, rows: Sequence[Sequence[int]]) -> Array:
    """The toy's logits, each row shifted by what its last token says: float64 (rows, vocab)."""
    shifts = [SHIFTS[(row[-1] if len(row) else 0) % len(SHIFTS)] for row in rows]
    return toy.logits_of(rows) + np.array(shifts).reshape(-1, 1)


def _language_model(toy: Any) -> LanguageModel:
    return LanguageModel(
        lambda rows: torch.from_numpy(logits_of(toy, rows)),
        lambda rows: [torch.from_numpy(states) for states in toy.hidden_of(rows)],
    )


@remembered
def reference(problem: DecodingProblem) -> Generation:
    """What the oracle generates."""
    return generate(
        _language_model(problem.toy),
        problem.prompts,
        problem.settings,
        uniforms=problem.uniforms,
        draft=problem.draft and _language_model(problem.draft),
        negative_prompts=problem.negative_prompts,
        text_of=problem.toy.text_of,
    )


def judge(dtype: str, problem: DecodingProblem, answer: Any) -> Finding:
    """Row by row; the worst of all rows."""
    wanted = reference(problem)
    prompts = [problem.prompts[p] for p in wanted.prompts]
    rows = read_rows(answer, prompts, problem.toy.vocab_size)
    if isinstance(rows, str):
        return Finding(MISMATCH, np.inf, rows)
    found = Finding(MATCH)
    for r, (row, sequence) in enumerate(zip(rows, wanted.sequences, strict=True)):
        if row == sequence:
            continue
        if "beam" in problem.decoder:
            finding = _judge_beam(dtype, problem, wanted, rows, r)
        else:
            finding = _judge_alone(dtype, problem, wanted, r, row)
        if finding.verdict == MISMATCH:
            return finding
        found = finding
    return found


def _differs(r: int, row: Sequence[int], sequence: Sequence[int]) -> str:
    """Where two rows part."""
    for place, (given, wanted) in enumerate(zip(row, sequence, strict=False)):
        if given != wanted:
            return f"row {r} has token {given} at place {place} in place of {wanted}"
    early = len(row) < len(sequence)
    return f"row {r} stops too {'early' if early else 'late'}: {len(row)} tokens, {len(sequence)}"


def rounding(dtype: str, scores: Array, problem: DecodingProblem) -> float:
    """How far rounding may move a logit or a score, where scores are as large as these."""
    finite = np.abs(scores[np.isfinite(scores)])
    further = max(problem.toy.vocab_size - SUMMED, 0) + _counts(problem)
    return gamma(ROUNDINGS + further, working(dtype)) * max(1.0, finite.max(initial=0))


def _counts(problem: DecodingProblem) -> int:
    """The roundings beyond a toy's of what is counted token by token; see `processors`."""
    if not {"frequency_penalty", "exponential_decay_length_penalty"} & set(problem.settings):
        return 0
    return 2 * max(max(room_of(prompt, problem.settings) for prompt in problem.prompts) - SUMMED, 0)


def _judge_alone(
    dtype: str, problem: DecodingProblem, wanted: Generation, r: int, row: tuple[int, ...]
) -> Finding:
    """Each token of the subject's row, given its own tokens before."""
    state, uniforms = _start(problem, wanted, r)
    stopped = "length" if len(state.tokens) >= state.limit else None
    ties = 0
    for place in range(len(state.tokens), len(row)):
        if stopped:
            return _late(r, place, stopped)
        u = None if uniforms is None else uniforms[place - state.start]
        decision = _decision(problem, state, u)
        if decision.token != row[place]:
            size = decision.scores.numpy()
            sizes = np.append(size, logits_of(problem.toy, [state.tokens]))
            allowed = rounding(dtype, sizes, problem)
            possible = size[row[place]] > -np.inf or _filters(problem)
            if decision.margin > allowed or decision.token < 0:
                says = f"row {r} has token {row[place]} at place {place} in place of "
                what = decision.token if decision.token >= 0 else "none, all being ruled out"
                return Finding(MISMATCH, np.inf, f"{says}{what}")
            if not possible:
                says = f"row {r} has token {row[place]} at place {place}, which is ruled out"
                return Finding(MISMATCH, np.inf, says)
            ties += 1
        state = state.then(row[place])
        stopped = ending(state, problem.settings, problem.toy.text_of)
    if not stopped:
        u = None if uniforms is None else uniforms[len(state.generated)]
        if _decision(problem, state, u).token >= 0:
            return Finding(MISMATCH, np.inf, f"row {r} stops too early, after {len(row)} tokens")
    return Finding(TIE, 0.0, f"row {r}: rounding may decide {ties} of its tokens")


def _late(r: int, place: int, stopped: str) -> Finding:
    return Finding(
        MISMATCH, np.inf, f"row {r} stops too late: it was over at place {place}, by {stopped}"
    )


def _start(
    problem: DecodingProblem, wanted: Generation, r: int
) -> tuple[Row, Sequence[float] | None]:
    """The row before anything was generated, and its uniforms."""
    starts = start_rows(
        problem.prompts, problem.settings, negative_prompts=problem.negative_prompts
    )
    return starts[wanted.prompts[r]], None if problem.uniforms is None else problem.uniforms[r]


def _decision(problem: DecodingProblem, row: Row, uniform: float | None) -> Decision:
    language_model = _language_model(problem.toy)
    if problem.decoder == "contrastive search":
        return contrastive.decide(language_model, [row], problem.settings)[0]
    at = None if uniform is None else [uniform]
    return decide(language_model, [row], problem.settings, at)[0]


def _filters(problem: DecodingProblem) -> bool:
    """Whether a token may be ruled out by rounding alone: filters are among the settings."""
    return bool(set(FILTERS) & set(problem.settings))


def _judge_beam(
    dtype: str, problem: DecodingProblem, wanted: Generation, rows: Rows, r: int
) -> Finding:
    """A row of a beam search that is not the reference's."""
    allowed = rounding(dtype, wanted.scores[r].numpy(), problem)
    differs = _differs(r, rows[r], wanted.sequences[r])
    score, why = _rescored(problem, wanted.prompts[r], rows[r])
    differs += f"; score {score:.9g}, the reference's {wanted.sequence_scores[r]:.9g}"
    margins, diverse = wanted.margins[r], "diversity_penalty" in problem.settings
    twice = not diverse and _twice(wanted, rows, r)
    if min(margins) > allowed or why or twice:
        return Finding(MISMATCH, np.inf, f"{differs}{why}{'; it is there twice' if twice else ''}")
    if diverse or min(margins[:-1], default=np.inf) <= allowed:
        return Finding(TIE, 0.0, f"{differs}; rounding may decide a step before")
    # One error for each of the tokens that are summed, over what their sum is divided by.
    penalty = problem.settings.get("length_penalty", 1.0)
    shortest = min(len(row) - len(problem.prompts[wanted.prompts[r]]) for row in rows) or 1
    error = 2 * allowed * max(len(rows[r]), 1) * max(1.0, float(shortest) ** -penalty)
    if abs(score - wanted.sequence_scores[r]) <= error:
        return Finding(TIE, 0.0, f"{differs}; rounding may decide the ranking")
    return Finding(MISMATCH, np.inf, differs)


def _twice(wanted: Generation, rows: Rows, r: int) -> bool:
    """Whether another row of the prompt is the same, which no search of one group gives."""
    return any(
        rows[i] == rows[r] and i != r and prompt == wanted.prompts[r]
        for i, prompt in enumerate(wanted.prompts)
    )


def _rescored(problem: DecodingProblem, prompt: int, row: tuple[int, ...]) -> tuple[float, str]:
    """A row's score under the reference's processed scores, and why it cannot have come about.

    What other groups took (diversity_penalty) is not known from the row, and left out.
    """
    settings = problem.settings
    state = start_rows(problem.prompts, settings, negative_prompts=problem.negative_prompts)[prompt]
    total = 0.0
    for place in range(len(state.tokens), len(row)):
        if ending(state, settings, problem.toy.text_of):
            return total, f"; it was over at place {place}"
        total += _processed(problem, state)[row[place]].item()
        if total == -np.inf:
            return total, f"; token {row[place]} at place {place} is ruled out"
        state = state.then(row[place])
    if not ending(state, settings, problem.toy.text_of) and _goes_on(problem, state):
        return total, "; it stops too early"
    length, penalty = max(len(state.generated), 1), settings.get("length_penalty", 1.0)
    return total / float(length) ** penalty, ""


def _processed(problem: DecodingProblem, state: Row) -> Array:
    """The scores (vocab,) of what may follow a beam, before any filter."""
    settings, sampling = problem.settings, problem.uniforms is not None
    plain = {k: v for k, v in settings.items() if k not in SAMPLING or k == "temperature"}
    _, scores = next_scores(_language_model(problem.toy), [state], settings, beams=True)
    return process(plain, [state], scores, sampling=sampling)[0][0].numpy()


def _goes_on(problem: DecodingProblem, state: Row) -> bool:
    """Whether some token may follow; under constraints, one that does not end the text."""
    free = "force_words_ids" not in problem.settings
    return any(
        free
        or ending(state.then(int(token)), problem.settings, problem.toy.text_of) in (None, "length")
        for token in np.flatnonzero(_processed(problem, state) > -np.inf)
    )


def settled(dtype: str, problem: DecodingProblem) -> bool:
    """Whether no decision of the reference hangs on rounding, twice as much as is granted."""
    found = reference(problem)
    for r, (row, margins) in enumerate(zip(found.sequences, found.margins, strict=True)):
        start = len(problem.prompts[found.prompts[r]])
        before = [row[:place] for place in range(start, len(row) + 1)]
        sizes = np.append(found.scores[r].numpy(), logits_of(problem.toy, before))
        if min(margins, default=np.inf) <= 2 * rounding(dtype, sizes, problem):
            return False
    return True
