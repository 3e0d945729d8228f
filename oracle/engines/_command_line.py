"""Command line of engines: what `python -m oracle judge` does where models are files or servers."""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeAlias

from oracle.adapters.subject import NoSubject, Subject
from oracle.checkpoints import CheckpointError, ModelFiles, read_folder
from oracle.conformance._check import Check
from oracle.conformance._explore import fresh_seed
from oracle.conformance._judge import Judgement, about
from oracle.conformance._outcome import Outcome
from oracle.engines._checkpoint_checks import (
    GREEDY_TOKENS,
    PromptCheck,
    ask_all,
    checkpoint_checks,
)
from oracle.engines._endpoint import endpoint
from oracle.engines._few_models import with_few_models
from oracle.engines._on_checkpoint import command_of, engine_on_checkpoint
from oracle.engines._on_files import engine_on_files
from oracle.engines._prompts import prompts_of, text_prompts
from oracle.engines._reference import Reference
from oracle.engines._server_checks import COUNT, server_checks, server_engine
from oracle.engines._text_verdicts import Texts

PROMPTS = 12
Told: TypeAlias = Callable[[Outcome], None]


@contextmanager
def engine_of_command(given: argparse.Namespace) -> Iterator[Subject]:
    """The subject of `--command "./engine {checkpoint}"`, for models that the judge draws."""
    with engine_on_files(given.command, format=given.format, seconds=given.seconds) as subject:
        yield subject


def few_models(checks: Sequence[Check], count: int | None) -> tuple[Check, ...]:
    """The checks, drawn so that few models serve many prompts; `count` of these, where given."""
    return tuple(with_few_models(check, count=count) for check in checks)


@contextmanager
def held_to_checkpoint(
    given: argparse.Namespace,
) -> Iterator[tuple[Subject, Callable[[Told], Judgement]]]:
    """An engine on the real checkpoint that is named, and what judges it.

    Raises NoSubject, in one line, for all that stands in the way.
    """
    if given.openai:
        yield _server(given)
        return
    folder = Path(given.checkpoint)
    files = _read(folder)
    seed = fresh_seed() if given.seed is None else given.seed
    if bool(given.subject) == bool(given.command):
        raise NoSubject(
            "name what is to be held to the checkpoint: module:attribute, "
            '--command "./engine {checkpoint}", or --openai URL'
        )
    options = {"dtype": given.dtype, "device": given.device}
    chosen = {name: value for name, value in options.items() if value is not None}
    line = given.command or command_of(given.subject, chosen)
    # A Python subject is handed the folder itself: one that wants another format writes its own.
    form = given.format if given.command else "safetensors"
    with engine_on_checkpoint(
        line, folder, files, name=given.subject or line, format=form, seconds=given.seconds
    ) as engine:
        reference = Reference(files, engine.dtype)
        room = min(GREEDY_TOKENS, reference.n_positions - 1)
        prompts = _prompts(given, reference, room=room, seed=seed)
        checks = _chosen(checkpoint_checks(reference, prompts, room=room), given.only)
        yield engine, lambda on_outcome: _judged(engine, checks, seed, on_outcome)


def _server(given: argparse.Namespace) -> tuple[Subject, Callable[[Told], Judgement]]:
    """A server that has the checkpoint loaded, and what judges it."""
    for name, option in (("checkpoint", "--checkpoint FOLDER"), ("model", "--model NAME")):
        if not getattr(given, name):
            raise NoSubject(f"--openai needs {option}, what is loaded there; give it too")
    if given.subject or given.command:
        raise NoSubject("name one to be held to the checkpoint: a subject, --command or --openai")
    files = _read(Path(given.checkpoint))
    if files.tokenizer is None:
        raise NoSubject(
            f"{given.checkpoint} has no tokenizer (vocab.json and merges.txt, or tokenizer.json); "
            "prompts for a server are texts, which need one"
        )
    extra, key = _fields(given.request), ""
    if given.api_key_env:
        if given.api_key_env not in os.environ:
            raise NoSubject(
                f"--api-key-env: the environment has no {given.api_key_env}; set it first"
            )
        key = os.environ[given.api_key_env]
    server = endpoint(given.openai, given.model, key=key, seconds=given.seconds, extra=extra)
    dtype = given.dtype or "float32"
    reference = Reference(files, dtype)
    seed = fresh_seed() if given.seed is None else given.seed
    drawn = _prompts(given, reference, room=min(COUNT, reference.n_positions - 1), seed=seed)
    prompts = text_prompts(files.tokenizer, drawn)
    engine = server_engine(server, dtype, prompts[-1])
    texts = Texts(reference, files.tokenizer)
    checks = _chosen(server_checks(texts, prompts, extra=extra), given.only)
    return engine, lambda on_outcome: _judged(engine, checks, seed, on_outcome)


def _fields(text: str | None) -> dict[str, Any]:
    try:
        fields = json.loads(text or "{}")
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise NoSubject(f"--request {text} is no JSON object; give one such as '{{\"top_k\": 0}}'")
    return fields


def _read(folder: Path) -> ModelFiles:
    try:
        return read_folder(folder)
    except CheckpointError as error:
        raise NoSubject(str(error)) from error


def _prompts(
    given: argparse.Namespace, reference: Reference, *, room: int, seed: int
) -> list[tuple[int, ...]]:
    text = Path(given.prompts) if given.prompts else None
    count = given.examples or PROMPTS
    return prompts_of(reference, count=count, seed=seed, text=text, room=room)


def _chosen(
    checks: Sequence[PromptCheck], patterns: Sequence[str] | None
) -> tuple[PromptCheck, ...]:
    if not patterns:
        return tuple(checks)
    fitting = [check for check in checks if any(fnmatch(check.name, p) for p in patterns)]
    if not fitting:
        names = ", ".join(check.name for check in checks)
        raise NoSubject(f"no check fits --only {' '.join(patterns)}; they are {names}")
    return tuple(fitting)


def _judged(
    engine: Subject, checks: Sequence[PromptCheck], seed: int, on_outcome: Told
) -> Judgement:
    began, outcomes = time.monotonic(), []
    for check in checks:
        outcomes.append(ask_all(check, engine))
        on_outcome(outcomes[-1])
    took = {"seconds": round(time.monotonic() - began, 1)}
    return Judgement(engine, tuple(outcomes), seed=seed, about=about() | took)
