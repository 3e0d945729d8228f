"""A judgement as text for a terminal, and as plain data for JSON."""

import math
from collections.abc import Sequence
from typing import Any

from oracle.adapters.claims import as_plain
from oracle.conformance._check import MATCH, MISMATCH, REFUSED, TIE
from oracle.conformance._diagnosis import Diagnosis, Suspect
from oracle.conformance._judge import Judgement
from oracle.conformance._localise import Divergence
from oracle.conformance._outcome import (
    LAX,
    NOT_JUDGED,
    NOT_OFFERED,
    RIGHT,
    STRICT,
    UNDECIDED,
    WRONG,
    Outcome,
)
from oracle.conformance._sizes import SIZES

SCHEMA = "oracle.judge/1"  # docs/schemas/judge.json: what `as_data` gives, and its version
SUSPECTS_SHOWN = 3
UNITS = "error: the largest that matches; worst: of all; both as a part of what rounding may do"
# Whose examples are models, drawn within the claims.
CLAIMED_AREAS = ("model", "cache", "perplexity")


def head() -> str:
    """The lines above the outcomes: what the numbers are, and the names of the columns."""
    counted = f"{'match':>6} {'tie':>5} {'refused':>8} {'mismatch':>9}"
    return f"{UNITS}\n{'check':40} {'verdict':11} {counted} {'error':>7} {'worst':>7}"


def line(outcome: Outcome) -> str:
    """One outcome. error is the largest of the matches, worst that of all examples.

    Nothing where it is not offered: `summary` says so once.
    """
    if outcome.verdict == NOT_OFFERED:
        return ""
    n = outcome.counts
    counted = f"{n[MATCH]:6} {n[TIE]:5} {n[REFUSED]:8} {n[MISMATCH]:9}"
    errors = f"{outcome.error:7.3f} {_short(worst_error(outcome))}"
    row = f"{outcome.check.name:40} {outcome.verdict:11} {counted} {errors}"
    # What is done in place of a refusal stands under the numbers.
    return f"{row}\n    {outcome.says}" if outcome.says and outcome.verdict != LAX else row


def worst_error(outcome: Outcome) -> float:
    """The largest error of all examples, those that mismatch too; infinite for no numbers."""
    return max((one.finding.error for one in outcome.seen), default=0.0)


def _short(error: float) -> str:
    """In seven places.

    >>> [_short(error) for error in (0.25, 1234.5, 1234567.0, math.inf)]
    ['  0.250', '1234.50', '1.2e+06', '      ∞']
    """
    if not math.isfinite(error):
        return f"{'∞':>7}"
    return f"{error:7.3f}" if error < 100 else f"{error:7.2f}" if error < 1e4 else f"{error:7.1e}"


def summary(judgement: Judgement, read: Sequence[str] = ()) -> str:
    """What follows the outcomes: the verdict, where it goes wrong, which bug it looks like.

    read: what `readings.lines` read off the part that is wrong.
    """
    subject, counts = judgement.subject, _verdicts(judgement)
    lines = [
        f"{subject.name}, {subject.dtype}: {verdict_line(judgement)}",
        ", ".join(f"{n} check{'s' * (n > 1)} {v}" for v, n in counts.items() if n),
    ]
    if note := judgement.exactness[0]:
        lines += [f"note: {note}"]
    if refusals := judgement.refusals:
        lines += [f"refusals: {refusals.verdict}", *(f"    {did}" for did in refusals.how)]
    if judgement.verdict != RIGHT and (unclaimed := subject.claims.left_out()):
        lines += [f"not claimed, and not judged: {'; '.join(unclaimed)}"]
    lines += _known_failures(judgement)
    if missing := _not_offered(judgement):
        lines += [f"not offered: {', '.join(missing)}"]
    if found := judgement.divergence:
        lines += ["", f"first goes wrong at: {where(judgement)}", f"    {found.says}"]
        lines += [f"    {one}" for one in read]
    if judgement.verdict == WRONG:
        lines += ["", *_suspects(judgement)]
    if judgement.numbers == WRONG and not judgement.diagnosed:
        lines += ["place and name were not looked for to the end"]
    about = judgement.about
    versions = ", ".join(f"{name} {v}" for name, v in about["versions"].items())
    seconds = f"; {about['seconds']} s" if "seconds" in about else ""
    lines += ["", f"Python {about['python']}, {about['machine']}, {versions}{seconds}"]
    if judgement.seed is not None:
        lines += [f"seed {judgement.seed}: with --seed {judgement.seed} the examples are the same"]
    if not about["cuda"]:
        lines += ["no GPU here: nothing was checked on CUDA"]
    return "\n".join(lines)


def verdict_line(judgement: Judgement) -> str:
    """The verdict in capitals, and what it does not hold for where less than all is claimed."""
    unclaimed = judgement.subject.claims.left_out()
    if judgement.verdict == RIGHT:
        known = len(judgement.failing_as_known)
        but_for = f" but for {known} known failure{'s' * (known > 1)}" if known else ""
        within = f"in all that it claims, which leaves out {'; '.join(unclaimed)}"
        return f"RIGHT{but_for}{f' {within}' if unclaimed else ''}"
    if judgement.verdict == WRONG and judgement.exactness[1] and judgement.numbers == RIGHT:
        return "WRONG, though its numbers are right: it computes more exactly than it claims"
    if judgement.verdict == WRONG and judgement.numbers == RIGHT:
        return "WRONG, though its numbers are right: what has no answer has to be refused"
    return judgement.verdict.upper()


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
    divergences = [_divergence_data(divergence) for divergence in judgement.divergences]
    return {
        "schema": SCHEMA,
        "subject": subject.name,
        "dtype": subject.dtype,
        "verdict": judgement.verdict,
        "strict": judgement.strict,
        "seed": judgement.seed,
        "sizes": [size for size in SIZES if size in {o.check.size for o in judgement.outcomes}],
        "claims": as_plain(subject.claims),
        "not_claimed": list(subject.claims.left_out()),
        "note": judgement.exactness[0],
        "diagnosed": judgement.diagnosed,
        "refusals": _refusals_data(judgement),
        "known_failures": _known_failures_data(judgement),
        "checks": [_outcome_data(outcome) for outcome in judgement.outcomes],
        "divergence": next(iter(divergences), None),
        "divergences": divergences,
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
                "nearest": s.nearest,
                "explained": s.explained,
                "failing": s.failing,
                "contradicted": s.contradicted,
                "passing": s.passing,
                "share": _number(s.share),
                "leaves": _number(s.leaves),
                "alike": list(s.alike),
            }
            for s in judgement.suspects
        ],
        "families": [
            {"name": d.family, "failing": d.failing, "tried": d.tried, "named": _ids(d)}
            for d in judgement.diagnoses
        ],
        "about": judgement.about,
    }


def _verdicts(judgement: Judgement) -> dict[str, int]:
    order = (RIGHT, UNDECIDED, WRONG, STRICT, LAX, NOT_JUDGED, NOT_OFFERED)
    found = [outcome.verdict for outcome in judgement.outcomes]
    return {verdict: found.count(verdict) for verdict in order}


def _known_failures(judgement: Judgement) -> list[str]:
    """Those that failed, with their reasons, and those that did not."""
    known = judgement.known_failures
    lines = [f"known to fail: {name}, {known[name]}" for name in judgement.failing_as_known]
    return lines + [
        f"{name} is right, though it is known to fail ({known[name]}): take its line out"
        for name in judgement.outdated
    ]


def _not_offered(judgement: Judgement) -> list[str]:
    """What the subject lacks: functions, or what it does not list of decoders and settings.

    Where it has the function that a model is asked of, it is its claims that leave the check out,
    and they are listed apart.
    """
    missing = [outcome.check for outcome in judgement.outcomes if outcome.verdict == NOT_OFFERED]
    offers = judgement.subject.function
    names = (
        check.needs if offers(check.needs) is None else check.name
        for check in missing
        if offers(check.needs) is None or check.area not in CLAIMED_AREAS
    )
    return list(dict.fromkeys(names))


def _ids(diagnosis: Diagnosis) -> list[str]:
    return [suspect.mutant.id for suspect in diagnosis.named]


def _suspects(judgement: Judgement) -> list[str]:
    """What each family of bugs says: the name, the nearest known bug, or that none fits."""
    lines = []
    for diagnosis in judgement.diagnoses:
        lines += [_name(suspect) for suspect in diagnosis.named[:SUSPECTS_SHOWN]]
        if not diagnosis.named:
            lines.append(
                f"{diagnosis.family}: none of the {diagnosis.tried} known bugs tried reproduces it"
            )
    return lines


def _name(suspect: Suspect) -> str:
    """The bug in one line, and how much of the evidence it accounts for.

    >>> from oracle.mutants import named
    >>> print(_name(Suspect(named("last-layer-skipped"), 0.25)))
    behaves like last-layer-skipped, within 0.25 of what rounding may do: the last layer is left out
    """
    mutant = suspect.mutant
    bug = f"{mutant.bug}{f' ({mutant.source})' if mutant.source else ''}"
    of = f"{suspect.explained} of {suspect.failing} examples that fail"
    if suspect.contradicted:
        of += f", though not for {suspect.contradicted} that are right"
    if not suspect.reproduces:
        return f"nearest known bug: {mutant.id}, which accounts for {of}: {bug}"
    within = f"within {suspect.distance:.2g} of what rounding may do"
    if suspect.share < 1:
        within += f" for {of}"
    alike = f"; nothing tells it from {', '.join(suspect.alike)}" if suspect.alike else ""
    return f"behaves like {mutant.id}, {within}: {bug}{alike}"


def _outcome_data(outcome: Outcome) -> dict[str, Any]:
    n = outcome.counts
    return {
        "name": outcome.check.name,
        "asks": outcome.check.asks,
        "needs": outcome.check.needs,
        "size": outcome.check.size,
        "verdict": outcome.verdict,
        "matches": n[MATCH],
        "ties": n[TIE],
        "refused": n[REFUSED],
        "mismatches": n[MISMATCH],
        "error": _number(outcome.error),
        "worst": _number(worst_error(outcome)),
        "says": outcome.says,
        "example": repr(outcome.worst.example) if outcome.worst else None,
    }


def _known_failures_data(judgement: Judgement) -> list[dict[str, str]]:
    states = dict.fromkeys(judgement.failing_as_known, "fails")
    states |= dict.fromkeys(judgement.outdated, "right")
    return [
        {"check": name, "reason": reason, "state": states.get(name, "not asked")}
        for name, reason in judgement.known_failures.items()
    ]


def _refusals_data(judgement: Judgement) -> dict[str, Any] | None:
    refusals = judgement.refusals
    return None if refusals is None else {"verdict": refusals.verdict, "how": list(refusals.how)}


def _divergence_data(divergence: Divergence) -> dict[str, Any]:
    return {
        "component": divergence.component,
        "layer": divergence.layer,
        "row": divergence.row,
        "position": divergence.position,
        "error": _number(divergence.error),
        "says": divergence.says,
        "example": repr(divergence.example),
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
