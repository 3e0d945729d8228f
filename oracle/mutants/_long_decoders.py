"""Bugs of decoders that toys do not show: stop strings in pieces, wide beams, long texts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from oracle.decoding import _candidates as candidates
from oracle.decoding import _choice as choice
from oracle.decoding import _stepwise as stepwise
from oracle.decoding._rows import Row
from oracle.mutants._mutant import Mutant
from oracle.mutants._sampling import decoder_bug, stepwise_bug

_STEPWISE = "oracle.decoding._stepwise"
_CANDIDATES = "oracle.decoding._candidates"

_ending, _draw, _run, _ranked = (
    stepwise.ending,
    choice.draw,
    stepwise.run_stepwise,
    candidates.ranked,
)


def _stops(row: Row, settings: Any) -> list[str]:
    wanted = settings.get("stop_strings") or ()
    return ([wanted] if isinstance(wanted, str) else list(wanted)) if row.generated else []


def _only_at_the_end(row: Row, settings: Any, text_of: Any) -> bool:
    stops = _stops(row, settings)
    return bool(stops) and text_of(row.generated).endswith(tuple(stops))


def _piece_by_piece(row: Row, settings: Any, text_of: Any) -> bool:
    stops = _stops(row, settings)
    text = "".join(text_of([token]) for token in row.generated) if stops else ""
    return any(stop in text for stop in stops)


def _of_last(tokens: int) -> Callable[..., bool]:
    """A stop string is looked for in the text of so many tokens."""

    def holds(row: Row, settings: Any, text_of: Any) -> bool:
        stops = _stops(row, settings)
        text = text_of(row.generated[-tokens:]) if stops else ""
        return any(stop in text for stop in stops)

    return holds


def _first_strings(row: Row, settings: Any, text_of: Any) -> bool:
    stops = _stops(row, settings)[:16]
    text = text_of(row.generated) if stops else ""
    return any(stop in text for stop in stops)


def _waits(row: Row, settings: Any, text_of: Any) -> str | None:
    least = settings.get("min_new_tokens") or 0
    early = len(row.generated) < least
    return _ending(row, {**settings, "stop_strings": None} if early else settings, text_of)


def _half_the_ids(scores: Tensor, uniforms: Tensor) -> Any:
    """What stands at 32768 and behind is left out of the sum."""
    return _draw(scores[:, :32768], uniforms)


def _at_most_256(lm: Any, rows: Any, settings: Any, **more: Any) -> Any:
    return _run(lm, [replace(r, limit=min(r.limit, r.start + 256)) for r in rows], settings, **more)


def _16_bits(totals: Tensor, number: int | None) -> Any:
    """The place of a candidate among all beams' tokens, in 16 bits."""
    return [place % 65536 for place in _ranked(totals, number)]


def _rows_by_32(
    lm: Any, rows: Sequence[Any], settings: Any, *, uniforms: Any = None, **more: Any
) -> Any:
    """From row 32 on, rows take the random numbers of the first ones again."""
    if uniforms is not None:
        uniforms = [uniforms[i % 32] for i in range(len(uniforms))]
    return _run(lm, rows, settings, uniforms=uniforms, **more)


MUTANTS: tuple[Mutant, ...] = (
    decoder_bug(
        "stop-only-at-end",
        "a stop string is seen only where the text ends with it",
        "vllm-project/vllm#534",
        {f"{_STEPWISE}.holds_stop_string": _only_at_the_end},
        effect="texts run past stop strings that end inside a token",
        severity="text",
    ),
    decoder_bug(
        "stop-piece-by-piece",
        "tokens are decoded one by one for stop strings, which breaks characters of several",
        "openvinotoolkit/openvino.genai#817",
        {f"{_STEPWISE}.holds_stop_string": _piece_by_piece},
        effect="stop strings that are not ASCII are not seen",
        severity="text",
    ),
    decoder_bug(
        "stop-last-4-tokens",
        "a stop string is looked for in the last four tokens only",
        "",
        {f"{_STEPWISE}.holds_stop_string": _of_last(4)},
        effect="long stop strings are not seen",
        severity="text",
    ),
    decoder_bug(
        "stop-last-64-tokens",
        "a stop string is looked for in the last 64 tokens only",
        "",
        {f"{_STEPWISE}.holds_stop_string": _of_last(64)},
        effect="very long stop strings are not seen",
        severity="long contexts",
    ),
    decoder_bug(
        "stop-first-16-strings",
        "of more than 16 stop strings the first 16 are looked for",
        "",
        {f"{_STEPWISE}.holds_stop_string": _first_strings},
        effect="texts run past later stop strings",
        severity="text",
    ),
    decoder_bug(
        "stop-waits-for-minimum",
        "stop strings do not end a row before the minimum of new tokens",
        "vllm-project/vllm#21987",
        {f"{_STEPWISE}.ending": _waits},
        effect="texts run past a stop string",
        severity="text",
    ),
    decoder_bug(
        "draw-first-32768",
        "tokens from id 32768 on are never drawn",
        "",
        {f"{_STEPWISE}.draw": _half_the_ids},
        effect="a third of GPT-2's tokens never come",
        severity="probabilities",
    ),
    stepwise_bug(
        "budget-at-most-256",
        "no more than 256 tokens are generated, however many are asked for",
        "",
        _at_most_256,
        effect="long texts are cut off",
        severity="long contexts",
    ),
    stepwise_bug(
        "draws-by-32-rows",
        "from row 32 on, rows draw by the random numbers of the first rows",
        "",
        _rows_by_32,
        effect="texts of large batches are there twice",
        severity="long contexts",
    ),
    decoder_bug(
        "beam-index-16-bits",
        "the place of a candidate among all beams' tokens is kept in 16 bits",
        "",
        {f"{_CANDIDATES}.ranked": _16_bits},
        effect="beams of real vocabularies go on with other tokens",
        severity="text",
    ),
)
