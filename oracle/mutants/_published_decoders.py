"""Bugs of decoders in engines: where a text ends, and what an end token in a prompt does."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

from torch import Tensor

from oracle.decoding import _speculative as speculation
from oracle.decoding import _stepwise as stepwise
from oracle.decoding._generation import Generation
from oracle.decoding._language_model import LanguageModel
from oracle.decoding._rows import Row, Settings, ids
from oracle.mutants._mutant import Mutant
from oracle.mutants._sampling import decoder_bug, stepwise_bug

_SPECULATIVE = "oracle.decoding._speculative"
_run, _accept, _speculate = stepwise.run_stepwise, speculation._accept, speculation.speculative


def _ended_by_prompt(
    lm: LanguageModel, rows: Sequence[Row], settings: Settings, **more: Any
) -> Generation:
    """A row whose prompt holds an end of text has its limit where the prompt ends."""
    eos = set(ids(settings.get("eos_token_id")))
    ended = [replace(row, limit=row.start) if eos & set(row.tokens) else row for row in rows]
    return _run(lm, ended, settings, **more)


def _hidden_prompt(
    lm: LanguageModel, rows: Sequence[Row], settings: Settings, **more: Any
) -> Generation:
    """Ends of text are taken for padding, and masked, wherever they stand."""
    pads, inner = set(ids(settings.get("eos_token_id"))), lm.logits_of

    def logits_of(asked: Sequence[Sequence[int]]) -> Tensor:
        return inner([[t for t in row if t not in pads] or row for row in asked])

    return _run(replace(lm, logits_of=logits_of), rows, settings, **more)


def _short_at_limit(
    run: stepwise.Run, guess: list[int], decisions: list[Any], settings: Settings, text_of: Any
) -> None:
    """No block is begun that would not fit."""
    _accept(run, guess, decisions, settings, text_of)
    if run.stopped is None and run.row.limit - len(run.row.tokens) < len(guess) + 1:
        run.stopped = "length"


def _past_end(
    run: stepwise.Run, guess: list[int], decisions: list[Any], settings: Settings, text_of: Any
) -> None:
    """A block is kept whole, though it has an end in it."""
    stopped = None
    for i, decision in enumerate(decisions):
        run.take(decision, settings, text_of)
        stopped = stopped or run.stopped
        if decision.token < 0 or i == len(guess) or decision.token != guess[i]:
            break
    run.stopped = stopped


def _past_limit(
    lm: LanguageModel, rows: Sequence[Row], settings: Settings, *, uniforms: Any = None, **more: Any
) -> Generation:
    """Blocks are not cut at the limit: a row ends with the block that reaches it."""
    limits = {(row.prompt, row.tokens): row.limit for row in rows}
    longer = [replace(row, limit=row.limit + 8) for row in rows]
    if uniforms is not None:
        uniforms = [[*row, *([0.5] * 8)] for row in uniforms]

    def accept(run: stepwise.Run, *rest: Any) -> None:
        _accept(run, *rest)
        limit = limits[run.row.prompt, run.row.tokens[: run.row.start]]
        if run.stopped is None and len(run.row.tokens) >= limit:
            run.stopped = "length"

    with mock.patch.object(speculation, "_accept", accept):
        return _speculate(lm, longer, settings, uniforms=uniforms, **more)


def _first_unchecked(
    run: stepwise.Run, guess: list[int], decisions: list[Any], settings: Settings, text_of: Any
) -> None:
    """The first guess is kept before the model is asked; the others are checked."""
    if guess:
        decisions = [replace(decisions[0], token=guess[0]), *decisions[1:]]
    _accept(run, guess, decisions, settings, text_of)


MUTANTS: tuple[Mutant, ...] = (
    stepwise_bug(
        "eos-in-prompt-ends",
        "an end of text in the prompt ends the row before it begins",
        "keras-team/keras-hub#713",
        _ended_by_prompt,
        effect="no text after prompts that hold an end of text",
        severity="text",
    ),
    stepwise_bug(
        "eos-is-padding",
        "padding is told by its id, which is the end of text's, so that a prompt's own are masked",
        "",
        _hidden_prompt,
        effect="prompts that hold an end of text are read without it",
        severity="text",
    ),
    decoder_bug(
        "speculative-short-at-limit",
        "a block of guesses that would not fit before the limit is not begun",
        "",
        {f"{_SPECULATIVE}._accept": _short_at_limit},
        effect="texts up to a block short of the limit",
        severity="text",
    ),
    decoder_bug(
        "speculative-past-end",
        "guesses after an end of text are kept with it",
        "",
        {f"{_SPECULATIVE}._accept": _past_end},
        effect="up to a block of tokens after the end of the text",
        severity="text",
    ),
    decoder_bug(
        "speculative-past-limit",
        "the last block of guesses is not cut at the limit",
        "",
        {"oracle.decoding._decoders.speculative": _past_limit},
        effect="texts up to a block longer than the limit",
        severity="text",
    ),
    decoder_bug(
        "speculative-first-unchecked",
        "the first guess of a block is kept without asking the model",
        "ohdearquant/lattice#243",
        {f"{_SPECULATIVE}._accept": _first_unchecked},
        effect="the draft's words in the text wherever it guesses wrong",
        severity="text",
    ),
)
