"""A judgement as text for a terminal, and as plain data for JSON."""

import math
from collections.abc import Sequence
from typing import Any

from oracle.conformance._check import MATCH, MISMATCH, TIE
from oracle.conformance._diagnosis import HOPELESS
from oracle.conformance._judge import Judgement
from oracle.conformance._outcome import NOT_OFFERED, RIGHT, UNDECIDED, WRONG, Outcome

SUSPECTS_SHOWN = 3


def head() -> str:
    """The line above the outcomes."""
    return f"{'check':40} {'verdict':11} {'match':>6} {'tie':>5} {'mismatch':>9} {'error':>7}"


def line(outcome: Outcome) -> str:
    """One outcome; error is the largest of the matches, as a part of what rounding may do.

    Nothing where it is not offered: `summary` says so once.
    """
    if outcome.verdict == NOT_OFFERED:
        return ""
    n = outcome.counts
    found = f"{outcome.check.name:40} {outcome.verdict:11} {n[MATCH]:6} {n[TIE]:5} {n[MISMATCH]:9}"
    found += f" {outcome.error:7.3f}"
    return f"{found}\n    {outcome.says}" if outcome.says else found


def summary(judgement: Judgement, read: Sequence[str] = ()) -> str:
    """What follows the outcomes: the verdict, where it goes wrong, which bug it looks like.

    read: what `readings.lines` read off the part that is wrong.
    """
    subject, counts = judgement.subject, _verdicts(judgement)
    lines = [
        f"{subject.name}, {subject.dtype}: {judgement.verdict.upper()}",
        ", ".join(f"{n} check{'s' * (n > 1)} {v}" for v, n in counts.items() if n),
    ]
    if missing := _not_offered(judgement):
        lines += [f"not offered: {', '.join(missing)}"]
    if found := judgement.divergence:
        lines += ["", f"first goes wrong at: {where(judgement)}", f"    {found.says}"]
        lines += [f"    {one}" for one in read]
    if judgement.verdict == WRONG:
        lines += ["", *_suspects(judgement)]
    about = judgement.about
    versions = ", ".join(f"{name} {v}" for name, v in about["versions"].items())
    seconds = f"; {about['seconds']} s" if "seconds" in about else ""
    lines += ["", f"Python {about['python']}, {about['machine']}, {versions}{seconds}"]
    if judgement.seed is not None:
        lines += [f"seed {judgement.seed}: with --seed {judgement.seed} the examples are the same"]
    if not about["cuda"]:
        lines += ["no GPU here: nothing was checked on CUDA"]
    return "\n".join(lines)


def where(judgement: Judgement) -> str:
    """The divergence in a few words."""
    found = judgement.divergence
    if found is None:
        return ""
    layer = "" if found.layer is None else f", layer {found.layer}"
    return f"{found.component}{layer}, position {found.position}"


def as_data(judgement: Judgement) -> dict[str, Any]:
    """All of it as what JSON can hold; infinite numbers are null."""
    subject = judgement.subject
    return {
        "subject": subject.name,
        "dtype": subject.dtype,
        "verdict": judgement.verdict,
        "seed": judgement.seed,
        "checks": [_outcome_data(outcome) for outcome in judgement.outcomes],
        "divergence": _divergence_data(judgement),
        "by_depth": [
            {"layers": n, "error": _number(error), "allowed": _number(allowed)}
            for n, (error, allowed) in enumerate(judgement.by_depth)
        ],
        "suspects": [
            {
                "id": s.mutant.id,
                "bug": s.mutant.bug,
                "source": s.mutant.source,
                "distance": _number(s.distance),
                "reproduces": s.reproduces,
            }
            for s in judgement.suspects
            if s.distance < HOPELESS
        ],
        "about": judgement.about,
    }


def _verdicts(judgement: Judgement) -> dict[str, int]:
    order = (RIGHT, UNDECIDED, WRONG, NOT_OFFERED)
    found = [outcome.verdict for outcome in judgement.outcomes]
    return {verdict: found.count(verdict) for verdict in order}


def _not_offered(judgement: Judgement) -> list[str]:
    """What the subject lacks: functions, or what it does not list of decoders and settings."""
    missing = [outcome.check for outcome in judgement.outcomes if outcome.verdict == NOT_OFFERED]
    lacks = judgement.subject.function
    return list(dict.fromkeys(c.name if lacks(c.needs) is not None else c.needs for c in missing))


def _suspects(judgement: Judgement) -> list[str]:
    near = [s for s in judgement.suspects if s.reproduces]
    lines = [
        f"behaves like {s.mutant.id}, within {s.distance:.2g} of what rounding may do: "
        f"{s.mutant.bug}{f' ({s.mutant.source})' if s.mutant.source else ''}"
        for s in near[:SUSPECTS_SHOWN]
    ]
    if not judgement.suspects:
        return []
    return lines or [f"none of the {len(judgement.suspects)} known bugs tried reproduces it"]


def _outcome_data(outcome: Outcome) -> dict[str, Any]:
    n = outcome.counts
    return {
        "name": outcome.check.name,
        "asks": outcome.check.asks,
        "needs": outcome.check.needs,
        "verdict": outcome.verdict,
        "matches": n[MATCH],
        "ties": n[TIE],
        "mismatches": n[MISMATCH],
        "error": _number(outcome.error),
        "says": outcome.says,
        "example": repr(outcome.worst.example) if outcome.worst else None,
    }


def _divergence_data(judgement: Judgement) -> dict[str, Any] | None:
    found = judgement.divergence
    if found is None:
        return None
    return {
        "component": found.component,
        "layer": found.layer,
        "row": found.row,
        "position": found.position,
        "error": _number(found.error),
        "says": found.says,
        "example": repr(found.example),
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
