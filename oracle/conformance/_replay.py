"""Replay files: the smallest failing example of each check, and a script that needs no kit.

The arrays of an example are written as safetensors: of a model the tensors `weights.NAME`,
`tokens`, `mask`, the subject's `answer`, the oracle's `reference` in float64, how far off is
`allowed`; `values` of the metadata are the rest of it, as JSON. `_replay_cases` says what there is
of each kind. What has no script is written as JSON.
"""

import dataclasses
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from oracle.adapters.guard import Misbehaviour
from oracle.conformance._judge import Judgement
from oracle.conformance._outcome import Outcome
from oracle.conformance._replay_cases import case
from oracle.conformance._several import wrong_case
from oracle.mutants._mutant import Mutant

SAVED = ("float64", "float32", "float16", "int64", "int32", "uint8", "bool")
DEEPEST = 12  # beyond this nesting, and for what JSON has no form for, its repr is written
LONGEST = 80  # a file's name, without its ending


def save_failures(judgement: Judgement, folder: Path) -> list[Path]:
    """Write the smallest failing example of each wrong check; the paths of what was written.

    The folder is made. A file is complete or not there. A script stands beside each. What the
    subject did in place of answering is written as its text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    taken: set[str] = set()
    for outcome in judgement.outcomes:
        if outcome.worst is None:
            continue
        name = _free(file_name(outcome.check.name), taken)
        for ending, content in _files(outcome, judgement).items():
            written.append(folder / f"{name}.{ending}")
            _write(written[-1], content)
    return written


def file_name(check: str) -> str:
    """The name of a check with dashes for all but letters and digits.

    >>> file_name("cache/in pieces"), file_name("../é\\n")
    ('cache-in-pieces', 'check')
    """
    return re.sub(r"[^a-z0-9]+", "-", check.lower())[:LONGEST].strip("-") or "check"


def plain(value: Any, depth: int = 0) -> Any:
    """What JSON can hold: arrays as lists, dataclasses as objects, and the rest as repr.

    JSON has no infinities and no NaN: they are the texts that Python's float reads.

    >>> plain({"p": np.array([0.5, -np.inf]), 3: (True, None)})
    {'p': [0.5, '-inf'], '3': [True, None]}
    """
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else str(float(value))
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if depth < DEEPEST:
        if isinstance(value, np.ndarray):
            return plain(value.tolist(), depth)
        if dataclasses.is_dataclass(value) and not isinstance(value, type | Mutant):
            fields = [field.name for field in dataclasses.fields(value)]
            value = {name: getattr(value, name) for name in fields}
        if isinstance(value, Mapping):
            return {str(key): plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item, depth + 1) for item in value]
    return value.says if isinstance(value, Misbehaviour) else repr(value)


def _files(outcome: Outcome, judgement: Judgement) -> dict[str, bytes]:
    """Contents by the endings of their names."""
    worst, subject, about = outcome.worst, judgement.subject, _about(outcome, judgement)
    assert worst is not None
    example, answer = wrong_case(worst.example, worst.answer, worst.finding.says)
    made = case(outcome.check, example, dtype=subject.dtype, mask=subject.claims.mask)
    if made is None:
        about |= {"example": plain(example), "answer": plain(answer)}
        return {"json": (json.dumps(about, indent=1) + "\n").encode()}
    tensors = dict(made.arrays)
    if isinstance(answer, np.ndarray) and answer.dtype.name in SAVED:
        tensors["answer"] = answer
    else:
        about["answer"] = plain(answer)
    words = {name: v if isinstance(v, str) else json.dumps(v) for name, v in about.items()}
    words = {n: text.encode("utf-8", "backslashreplace").decode() for n, text in words.items()}
    words["values"] = json.dumps(made.values, default=plain)
    # safetensors writes an array's memory as it lies.
    solid = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    return {"safetensors": save(solid, metadata=words), "py": made.script.encode()}


def _about(outcome: Outcome, judgement: Judgement) -> dict[str, Any]:
    worst = outcome.worst
    assert worst is not None
    return {
        "check": outcome.check.name,
        "asks": outcome.check.asks,
        "subject": judgement.subject.name,
        "dtype": judgement.subject.dtype,
        "says": outcome.says,
        "error": plain(worst.finding.error),
        "recipe": getattr(getattr(worst.example, "weights", None), "recipe", ""),
    }


def _free(name: str, taken: set[str]) -> str:
    """The name, or that with a number, which is then taken."""
    tries: Iterable[str] = (name, *(f"{name}-{i}" for i in range(2, len(taken) + 3)))
    free = next(one for one in tries if one not in taken)
    taken.add(free)
    return free


def _write(path: Path, content: bytes) -> None:
    """All of it under a name of its own first, so that the file is never half there."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
