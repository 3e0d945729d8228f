"""The process of one contestant: reads a task a line, measures it, answers a line.

It waits for its turn in a read, which takes no processor time.
"""

import importlib
import json
import os
import sys
from typing import Any

from oracle.bench._contest import Absent, Contestant, Setup


def main(name: str, setup: str) -> None:
    """Serve until standard input ends."""
    source, sink = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    # What a library prints does not get among the answers.
    os.dup2(2, 1)

    def tell(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=sink, flush=True)

    try:
        contestant = _contestant(name, Setup(**json.loads(setup)))
    except Absent as absent:
        tell({"absent": str(absent)})
        return
    tell({"about": contestant.about})
    for line in source:
        tell(_answer(contestant, json.loads(line)))


def _contestant(name: str, setup: Setup) -> Contestant:
    try:
        module = importlib.import_module(f"oracle.bench._contestants.{name}")
        found: Contestant = module.contestant(setup)
    except ModuleNotFoundError as error:
        raise Absent(f"{error.name} is not installed") from error
    return found


def _answer(contestant: Contestant, task: str) -> dict[str, Any]:
    try:
        value, answer = contestant.tasks[task]()
    except Absent as absent:
        return {"absent": str(absent)}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}
    return {"value": value, "answer": answer}


if __name__ == "__main__":
    main(*sys.argv[1:])
