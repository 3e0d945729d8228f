"""Whether bugs are called by their own names: each mutant through its narrowest offer.

A mutant is offered as one op, or through one function, the first that shows it, and the name that
the judge tells first is compared with its own: alone, and within claims as narrow as llm.c's. What
shows only where there is no answer, and what those claims leave no room for, is unseen and has no
name. Trials are kept in a file, a line each, so that what was interrupted goes on.
"""

import json
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import torch

from oracle.adapters.claims import EVERYTHING, Claims
from oracle.adapters.subject import FUNCTIONS, Subject
from oracle.conformance._catalogue import checks_at
from oracle.conformance._check import Check
from oracle.conformance._diagnosis import diagnoses
from oracle.conformance._outcome import Outcome, run
from oracle.conformance._power import mutated
from oracle.mutants._catalogue import MUTANTS, named

RIGHT, OTHER, NONE, UNSEEN = "right", "another", "none", "unseen"
NARROW = Claims(
    activation_functions=["gelu_new"],
    flags=[],
    epsilons=[1e-5],
    padding="none",
    max_batch=1,
    n_positions=16,
    vocab_multiple_of=64,
)
CLAIMS = {"everything": EVERYTHING, "narrow": NARROW}
# Of each check at most so many examples, as the judge asks of most.
COUNT = 100


@dataclass(frozen=True)
class Trial:
    """One mutant through one offer. called: the names told, the first first; of its own family."""

    mutant: str
    claims: str
    offer: str
    verdict: str
    called: tuple[str, ...] = ()


def names(
    *,
    sample: int | None = None,
    seed: int = 0,
    progress: Path | None = None,
) -> list[Trial]:
    """All trials, or those of `sample` mutants; what the file `progress` has is not redone."""
    ids = [mutant.id for mutant in MUTANTS if "float32" in mutant.dtypes]
    if sample is not None:
        ids = random.Random(seed).sample(ids, min(sample, len(ids)))
    done = {(trial.mutant, trial.claims): trial for trial in _read(progress)}
    tasks = [(i, claims) for i in ids for claims in CLAIMS if _asked(i, claims)]
    left = [task for task in tasks if task not in done]
    spawned = ProcessPoolExecutor(
        os.cpu_count() or 1,
        mp_context=get_context("spawn"),
        initializer=torch.set_num_threads,
        initargs=(1,),
    )
    with spawned as pool:
        for trial in pool.map(_tried, left):
            done[trial.mutant, trial.claims] = trial
            if progress is not None:
                with progress.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(trial)) + "\n")
    return [done[task] for task in tasks]


def trial(id: str, claims: str = "everything", *, count: int = COUNT) -> Trial:
    """What the judge calls the mutant of this id, within those of CLAIMS."""
    mutant = named(id)
    whole = replace(mutated(mutant, "float32"), claims=CLAIMS[claims])
    for offer, checks in offers(mutant.area):
        subject = only(whole, offer)
        outcomes = [_run(check, subject, count) for check in checks]
        if any(outcome.worst for outcome in outcomes):
            found = diagnoses(outcomes, "float32", MUTANTS, subject=subject)
            called = tuple(s.mutant.id for diagnosis in found for s in diagnosis.named)
            verdict = NONE if not called else RIGHT if called[0] == id else OTHER
            return Trial(id, claims, offer, verdict, called)
    return Trial(id, claims, "", UNSEEN)


def offers(area: str) -> Iterator[tuple[str, tuple[Check, ...]]]:
    """What shows bugs of this area, the narrowest first, and the checks that ask it."""
    if area == "model":
        for check in checks_at("toy", ["ops/*"]):
            yield check.needs, (check,)
    function, patterns = {
        "model": ("logits", ["model/*"]),
        "cache": ("step", ["cache/*"]),
        "processors": ("process", ["processors/*"]),
        "decoders": ("generate", ["decoders/*"]),
        "tokenizer": ("encode", ["tokenizer/*"]),
        "perplexity": ("perplexity", ["perplexity/*"]),
    }[area]
    for size in ("toy", "borders"):
        at_size = [check for check in checks_at(size, patterns) if check.size == size]
        yield function, tuple(check for check in at_size if not check.refusals)


def only(subject: Subject, offer: str) -> Subject:
    """The subject with nothing but this function; a tokenizer has both of its own."""
    kept = {"encode": ("encode", "decode")}.get(offer, (offer,))
    op = offer.removeprefix("ops.")
    ops = {op: subject.ops[op]} if offer.startswith("ops.") else {}
    hidden = {name: None for name in FUNCTIONS if name not in kept}
    return replace(subject, ops=ops, **hidden)


def table(trials: Sequence[Trial]) -> Iterator[str]:
    """For each claims and area how many names are right; then those that are not."""
    areas = {mutant.id: mutant.area for mutant in MUTANTS}
    yield f"{'claims':12} {'bugs of':12} {'seen':>5} {'right':>6} {'another':>8} {'none':>5}"
    for claims in CLAIMS:
        ours = [trial for trial in trials if trial.claims == claims]
        for area in dict.fromkeys(areas[trial.mutant] for trial in ours):
            yield _line(claims, area, [trial for trial in ours if areas[trial.mutant] == area])
        if ours:
            yield _line(claims, "all", ours)
    for trial in trials:
        if trial.verdict in (OTHER, NONE):
            called = ", ".join(trial.called) or "nothing"
            yield f"  {trial.mutant} through {trial.offer}, {trial.claims}: called {called}"


def _line(claims: str, area: str, trials: Sequence[Trial]) -> str:
    n = Counter(trial.verdict for trial in trials)
    seen = n.total() - n[UNSEEN]
    return f"{claims:12} {area:12} {seen:5} {n[RIGHT]:6} {n[OTHER]:8} {n[NONE]:5}"


def _asked(id: str, claims: str) -> bool:
    """Claims are of models: what is no model is asked once."""
    return claims == "everything" or named(id).area in ("model", "cache")


def _tried(task: tuple[str, str]) -> Trial:
    return trial(*task)


def _run(check: Check, subject: Subject, count: int) -> Outcome:
    return run(check, subject, count=min(check.count, count), shrink=False)


def _read(progress: Path | None) -> list[Trial]:
    if progress is None or not progress.exists():
        return []
    lines = filter(str.strip, progress.read_text(encoding="utf-8").splitlines())
    return [
        Trial(**{**fields, "called": tuple(fields["called"])}) for fields in map(json.loads, lines)
    ]
