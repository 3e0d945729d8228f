"""Engine on a checkpoint: a program, or a Python subject run by one, started on a real model."""

import json
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oracle.adapters.own_process import SECONDS
from oracle.adapters.subject import NoSubject
from oracle.checkpoints import CheckpointError, ModelFiles, format_named, write
from oracle.engines._checkpoint_checks import LoadedEngine
from oracle.engines._running import PLACE, RunningEngine, words_of


def command_of(subject: str, options: Mapping[str, Any]) -> str:
    """The command that runs a Python subject as an engine on a folder.

    >>> command_of("mine:subject", {}).endswith("oracle.adapters.engine_program mine:subject {checkpoint}")
    True
    """  # noqa: E501
    words = [sys.executable, "-m", "oracle.adapters.engine_program", subject]
    more = [shlex.quote(json.dumps(dict(options)))] if options else []
    return " ".join([*map(shlex.quote, words), PLACE, *more])


@contextmanager
def engine_on_checkpoint(
    line: str,
    folder: Path,
    files: ModelFiles,
    *,
    name: str = "",
    format: str = "safetensors",
    seconds: float = SECONDS,
) -> Iterator[LoadedEngine]:
    """The engine, started on the checkpoint in `folder`, of which `files` is what it holds.

    name: what messages call it; by default, the command. format: in which the engine wants it; it
    is written for it where that is not "safetensors".
    Raises NoSubject, in one line, where it does not load it.
    """
    words = words_of(line)
    with tempfile.TemporaryDirectory(prefix="gpt2-judge-") as place:
        path = folder.absolute()
        if format != "safetensors":
            try:
                path = Path(place) / f"model{format_named(format).suffix}"
                write(path, files.config, files.weights, files.tokenizer, format=format)
            except CheckpointError as error:
                raise NoSubject(str(error)) from error
        running = RunningEngine(name or line, words, path, folder=place, seconds=seconds)
        try:
            offer = running.start()
            calls = {name: getattr(running, name) for name in offer["functions"]}
            yield LoadedEngine(str(offer.get("name", name or line)), running.dtype, calls=calls)
        finally:
            running.close()
