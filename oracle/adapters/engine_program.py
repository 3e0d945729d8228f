"""Engine program: a Python subject as a program that loads a checkpoint and answers JSON lines.

    python -m oracle.adapters.engine_program module:attribute FOLDER

It speaks the protocol of PROTOCOL.md, "An engine that loads a file", for a subject of
`loads_files`, which opens the file itself, and for any other that offers `logits` or `step`, which
are given what the folder holds.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oracle.adapters.answers import array, one_line
from oracle.adapters.json_lines import plain
from oracle.adapters.loads_files import FileEngine
from oracle.adapters.subject import NoSubject, Subject, load
from oracle.checkpoints import CheckpointError, format_named, read_folder, write


def functions_on(subject: Subject, folder: Path) -> Mapping[str, Callable[..., Any]]:
    """The subject's functions of tokens alone, on the checkpoint in a folder.

    Raises CheckpointError for a folder that the oracle cannot read, where it has to.
    """
    if isinstance(subject, FileEngine) and subject.format == "safetensors":
        return subject.opened(folder)
    files = read_folder(folder)
    if isinstance(subject, FileEngine):
        with tempfile.TemporaryDirectory(prefix="gpt2-judge-") as place:
            path = Path(place) / f"model{format_named(subject.format).suffix}"
            write(path, files.config, files.weights, files.tokenizer, format=subject.format)
            return subject.opened(path)
    config, weights = dict(files.config), dict(files.weights)
    takes_mask = subject.claims.mask

    def whole(tokens: Any) -> Any:
        return np.ones(np.shape(tokens), bool) if takes_mask else None

    def logits(tokens: Any) -> Any:
        assert subject.logits is not None  # it is offered only then
        return subject.logits(config, weights, tokens, whole(tokens))

    def step(tokens: Any, cache: Any) -> Any:
        assert subject.step is not None
        before, inner = cache or (0, None)
        seen = before + np.shape(tokens)[1]
        mask = np.ones((len(tokens), seen), bool) if takes_mask else None
        values, inner = subject.step(config, weights, tokens, mask, inner)
        return values, (seen, inner)

    offered: dict[str, Callable[..., Any]] = {"logits": logits, "step": step}
    return {name: call for name, call in offered.items() if getattr(subject, name) is not None}


class Answerer:
    """Answers requests, each a dict, by dicts; caches stay here, under numbers."""

    def __init__(
        self, offer: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]
    ) -> None:
        self.offer = {**offer, "functions": list(functions)}
        self.functions = functions
        self.caches: dict[str, Any] = {}
        self.folder = Path()
        self.count = 0

    def __call__(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer; what a function raises is an answer with "error"."""
        call = request["call"]
        if call == "offer":
            self.folder = Path(request["folder"])
            return self.offer
        try:
            return self._answered(call, request)
        except Exception as error:
            return {"error": one_line(f"{type(error).__name__}: {error}")}

    def _answered(self, call: str, request: Mapping[str, Any]) -> dict[str, Any]:
        function = self.functions[call]
        if call == "generate":
            rows = function(request["prompts"], request["settings"])
            return {"values": [[int(token) for token in row] for row in rows]}
        tokens = np.array(request["tokens"])
        if call != "step":
            return self._numbers(function(tokens))
        for key in request.get("forget", []):
            self.caches.pop(key, None)
        cache = None if request["cache"] is None else self.caches[request["cache"]]
        values, cache = function(tokens, cache)
        self.count += 1
        self.caches[f"c{self.count}"] = cache
        return {**self._numbers(values), "cache": f"c{self.count}"}

    def _numbers(self, values: Any) -> dict[str, Any]:
        """In a file: logits of a real vocabulary are long as text."""
        numbers = array(values)
        kind = numbers.dtype.name if numbers.dtype.name in ("float64", "float16") else "float32"
        path = self.folder / f"answer-{os.getpid()}"
        path.write_bytes(np.ascontiguousarray(numbers, np.dtype(kind).newbyteorder("<")).tobytes())
        return {"file": str(path), "dtype": kind, "shape": list(numbers.shape)}


def main(arguments: list[str]) -> int:
    """Serve until the input ends."""
    path, folder, *more = arguments
    # What the engine prints, from C too, belongs on standard error.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        subject = load(path, **(json.loads(more[0]) if more else {}))
        functions = functions_on(subject, Path(folder))
    except (NoSubject, CheckpointError, NotImplementedError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    except Exception as error:  # whatever an engine raises on a file that it does not load
        print(f"error: {one_line(f'{type(error).__name__}: {error}')}", file=sys.stderr)
        return 2
    answerer = Answerer({"name": subject.name, "dtype": subject.dtype}, functions)
    for line in sys.stdin.buffer:
        answers.write(json.dumps(plain(answerer(json.loads(line)))).encode() + b"\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(status)  # at once: the judge waits for the end of what has closed its output
