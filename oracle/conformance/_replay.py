"""The smallest failing example of each check as files, and scripts that need no kit.

A model is written as safetensors: the tensors `weights.NAME`, `tokens`, `mask`, the subject's
`answer`, the oracle's `reference` logits in float64, how far off is `allowed`, and for cached steps
`chunks`; the metadata say the rest, as JSON. Anything else is written as JSON.
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
from oracle.bounds._rounding import Array
from oracle.conformance._checks.cache import CacheExample
from oracle.conformance._checks.refusals import Refusal
from oracle.conformance._judge import Judgement
from oracle.conformance._model_examples import ModelExample
from oracle.conformance._outcome import Outcome
from oracle.conformance._replay_scripts import CACHE, LOGITS, REFUSAL
from oracle.mutants._mutant import Mutant

SAVED = ("float64", "float32", "float16", "int64", "int32", "uint8", "bool")
DEEPEST = 12  # beyond this nesting, and for what JSON has no form for, its repr is written
LONGEST = 80  # a file's name, without its ending


def save_failures(judgement: Judgement, folder: Path) -> list[Path]:
    """Write the smallest failing example of each wrong check; the paths of what was written.

    The folder is made. A file is complete or not there. For a model, a script stands beside its
    file. What the subject did in place of answering is written as its text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written, taken = [], set()
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
    example = outcome.worst.example
    if isinstance(example, ModelExample):
        return _model(outcome, judgement, example, LOGITS)
    if isinstance(example, CacheExample):
        chunks = {"chunks": np.array(example.chunks, np.int64)}
        return _model(outcome, judgement, example.whole, CACHE, **chunks)
    if isinstance(example, Refusal):
        return _model(outcome, judgement, example.spoilt(), REFUSAL, answerable=False)
    found = _about(outcome, judgement) | {
        "example": plain(example),
        "answer": plain(outcome.worst.answer),
    }
    return {"json": (json.dumps(found, indent=1) + "\n").encode()}


def _model(
    outcome: Outcome,
    judgement: Judgement,
    example: ModelExample,
    script: str,
    answerable: bool = True,
    **tensors: Array,
) -> dict[str, bytes]:
    tensors |= {f"weights.{name}": array for name, array in example.weights.items()}
    tensors |= {"tokens": example.batch.tokens, "mask": example.batch.mask}
    if answerable:
        reference, allowed = example.reference(judgement.subject.dtype)
        tensors |= {"reference": reference, "allowed": allowed}
    about = _about(outcome, judgement) | {
        "config": plain(example.config),
        "weights": repr(example.weights),
    }
    answer = outcome.worst.answer
    if isinstance(answer, np.ndarray) and answer.dtype.name in SAVED:
        tensors["answer"] = answer
    else:
        about["answer"] = plain(answer)
    told = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in about.items()
    }
    told = {
        name: value.encode("utf-8", "backslashreplace").decode() for name, value in told.items()
    }
    # safetensors writes an array's memory as it lies.
    solid = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    return {"safetensors": save(solid, metadata=told), "py": script.encode()}


def _about(outcome: Outcome, judgement: Judgement) -> dict[str, Any]:
    return {
        "check": outcome.check.name,
        "asks": outcome.check.asks,
        "subject": judgement.subject.name,
        "dtype": judgement.subject.dtype,
        "says": outcome.says,
        "error": plain(outcome.worst.finding.error),
    }


def _free(name: str, taken: set[str]) -> str:
    """The name, or that with a number, which is then taken."""
    tries: Iterable[str] = (name, *(f"{name}-{i}" for i in range(2, len(taken) + 3)))
    found = next(one for one in tries if one not in taken)
    taken.add(found)
    return found


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
