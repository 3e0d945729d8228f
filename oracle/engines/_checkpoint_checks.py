"""Checks of an engine that has a real checkpoint loaded: numbers, steps, choices and draws."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracle.adapters.answers import array
from oracle.adapters.guard import DIED, HUNG, Misbehaviour
from oracle.adapters.subject import Subject
from oracle.bounds._noise import FACTOR
from oracle.conformance._check import MATCH, MISMATCH, Check, Finding
from oracle.conformance._outcome import (
    MOST_DEATHS,
    MOST_TIES,
    NOT_OFFERED,
    RIGHT,
    UNDECIDED,
    WRONG,
    Outcome,
    Seen,
    look,
)
from oracle.engines._reference import Reference
from oracle.engines._verdicts import (
    distribution_after,
    judge_draws,
    judge_greedy,
    judge_numbers,
)

GREEDY_TOKENS = 24
DRAWS = 500
WHAT = "log-probability"
# How tokens are drawn: as they come, with all the rest made unlikelier, from a few.
SAMPLERS: tuple[dict[str, Any], ...] = (
    {"temperature": 1.0},
    {"temperature": 0.6},
    {"temperature": 1.0, "top_k": 5},
)
# Checks that another model fails everywhere.
OF_THE_MODEL = ("logits", "steps", "log-probabilities", "greedy", "logprobs", "echo")
OTHER_MODEL = "every prompt differs: is it this checkpoint that the engine has loaded?"


@dataclass(frozen=True)
class LoadedEngine(Subject):
    """An engine with one checkpoint loaded, as functions of tokens or of requests alone.

    calls: of `oracle.adapters.loads_files.CALLS`, those that it offers; a server's have names of
    their own (`oracle.engines._server_checks`).
    """

    calls: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    def function(self, name: str) -> Callable[..., Any] | None:
        """What is offered under this name."""
        return self.calls.get(name)


Prompt = tuple[int, ...]


@dataclass(frozen=True)
class PromptCheck(Check):
    """A check whose examples are these, each asked once; the first to fail is the one reported."""

    prompts: tuple[Any, ...] = ()


def checkpoint_checks(
    reference: Reference, prompts: Sequence[Prompt], *, room: int
) -> tuple[PromptCheck, ...]:
    """The checks over prompts, which leave room for so many tokens more."""
    count = min(GREEDY_TOKENS, room)
    long = [prompt for prompt in prompts if len(prompt) > 1]
    few = prompts[:: max(1, len(prompts) // 6)][:6]
    problems = [(prompt, SAMPLERS[i % len(SAMPLERS)]) for i, prompt in enumerate(few)]
    return (
        prompt_check(
            "checkpoint/logits",
            "logits of whole rows",
            "logits",
            prompts,
            lambda subject, row: array(subject.calls["logits"]([list(row)]))[0],
            lambda row, answer: _judge_logits(reference, row, answer),
        ),
        prompt_check(
            "checkpoint/steps",
            "logits of cached steps",
            "step",
            prompts,
            lambda subject, row: _stepped(subject, row),
            lambda row, answer: _judge_logits(reference, row, answer),
        ),
        prompt_check(
            "checkpoint/log-probabilities",
            "the log-probability of each token",
            "log_probabilities",
            long,
            lambda subject, row: array(subject.calls["log_probabilities"]([list(row)]))[0],
            lambda row, answer: _judge_log_probabilities(reference, row, answer),
        ),
        prompt_check(
            "checkpoint/greedy",
            f"the {count} likeliest tokens after a prompt, one by one",
            "generate",
            prompts if count else [],
            lambda subject, row: subject.calls["generate"]([list(row)], {"max_new_tokens": count})[
                0
            ],
            lambda row, answer: judge_greedy(reference, row, answer, count, ends=_ends(reference)),
        ),
        prompt_check(
            "checkpoint/draws",
            f"{DRAWS} tokens drawn after a prompt",
            "generate",
            problems if count else [],
            lambda subject, problem: _drawn(subject, *problem),
            lambda problem, answer: judge_draws(
                distribution_after(reference, problem[0], **problem[1]), answer
            ),
        ),
    )


def ask_all(check: PromptCheck, subject: Subject) -> Outcome:
    """Put all of a check's prompts before an engine, each once, and say where all differ."""
    if subject.function(check.needs) is None or not check.prompts:
        return Outcome(check, NOT_OFFERED)
    seen: list[Seen] = []
    for prompt in check.prompts:
        seen.append(look(check, subject, prompt))
        answers = [one.answer for one in seen if isinstance(one.answer, Misbehaviour)]
        deaths = sum(answer.kind in (HUNG, DIED) for answer in answers)
        if deaths >= MOST_DEATHS or (answers and answers[-1].kind == HUNG):
            break
    verdicts = [one.finding.verdict for one in seen]
    worst = next((one for one in seen if one.finding.verdict == MISMATCH), None)
    if worst is None:
        left_open = len(verdicts) - verdicts.count(MATCH)
        undecided = left_open > max(1, MOST_TIES * len(verdicts))
        return Outcome(check, UNDECIDED if undecided else RIGHT, tuple(seen))
    answered = not any(isinstance(one.answer, Misbehaviour) for one in seen)
    compares = check.name.partition("/")[2] in OF_THE_MODEL
    if answered and compares and len(seen) > 2 and set(verdicts) == {MISMATCH}:
        says = f"{worst.finding.says}; {OTHER_MODEL}"
        worst = replace(worst, finding=replace(worst.finding, says=says))
    return Outcome(check, WRONG, tuple(seen), worst)


def prompt_check(
    name: str,
    asks: str,
    needs: str,
    prompts: Sequence[Any],
    answer: Callable[[Any, Any], Any],
    judge: Callable[[Any, Any], Finding],
) -> PromptCheck:
    """A check of these prompts, or what stands for them; a Misbehaviour is never an answer."""

    def judged(dtype: str, example: Any, answered: Any) -> Finding:
        if isinstance(answered, Misbehaviour):
            raise answered
        return judge(example, answered)

    def distance(dtype: str, example: Any, one: Any, other: Any) -> float:
        return 0.0 if judged(dtype, example, one) == judged(dtype, example, other) else np.inf

    return PromptCheck(
        name,
        asks,
        needs,
        lambda subject: st.sampled_from(list(prompts)) if prompts else None,
        answer,
        judged,
        distance,
        count=max(1, len(prompts)),
        prompts=tuple(prompts),
    )


def _judge_logits(reference: Reference, prompt: Prompt, answer: Any) -> Finding:
    row = reference.row(prompt)
    return judge_numbers(answer, row.logits, row.allowed, what="logit of token")


def _judge_log_probabilities(reference: Reference, prompt: Prompt, answer: Any) -> Finding:
    row = reference.row(prompt)
    wanted = row.log_probabilities[np.arange(len(prompt) - 1), prompt[1:]]
    allowed = row.allowed_log_probability
    return judge_numbers(answer, wanted, allowed, what=WHAT, first=1, floors=2 * FACTOR)


def _stepped(subject: LoadedEngine, row: Prompt) -> Any:
    """Half of the row at once, then a token at a time."""
    half = max(1, len(row) // 2)
    found, cache = [], None
    for part in ([*row[:half]], *([token] for token in row[half:])):
        logits, cache = subject.calls["step"]([part], cache)
        found.append(array(logits)[0])
    return np.concatenate(found)


def _greedy(subject: LoadedEngine, prompt: Prompt, count: int) -> list[int]:
    rows = subject.calls["generate"]([list(prompt)], {"max_new_tokens": count})
    if len(rows) != 1:
        raise ValueError(f"{len(rows)} rows for one prompt")
    return list(rows[0])


def _drawn(subject: LoadedEngine, prompt: Prompt, settings: dict[str, Any]) -> list[int]:
    given = {"max_new_tokens": 1, "do_sample": True, **settings}
    rows = subject.calls["generate"]([list(prompt)] * DRAWS, given)
    if len(rows) != DRAWS or any(len(row) != len(prompt) + 1 for row in rows):
        lengths = sorted({len(row) for row in rows})
        raise ValueError(
            f"{len(rows)} rows of {lengths} tokens; expected {DRAWS} of {len(prompt) + 1}"
        )
    return [row[-1] for row in rows]


def _ends(reference: Reference) -> tuple[int, ...]:
    end = reference.files.config.get("eos_token_id")
    return () if end is None else (int(end),)
