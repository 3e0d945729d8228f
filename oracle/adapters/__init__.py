"""Adapters: implementations of GPT-2 as subjects of the judge.

`Subject` says what one may offer, and `Claims` how little of that one may claim. `load` takes it
from a module, `isolated` does so in a process of its own, and `command` starts a program that
speaks JSON lines (PROTOCOL.md). What stands in the modules `npgpt`, `pytorch` and `transformers`
are complete adapters to read.
"""

from typing import TYPE_CHECKING

from oracle._lazy import lazy

if TYPE_CHECKING:
    from oracle.adapters.claims import Claims
    from oracle.adapters.own_process import isolated
    from oracle.adapters.program import command
    from oracle.adapters.subject import NoSubject, Subject, as_subject, load

__all__ = ["Claims", "NoSubject", "Subject", "as_subject", "command", "isolated", "load"]

__getattr__ = lazy(
    __name__,
    {
        "Claims": "claims",
        "NoSubject": "subject",
        "Subject": "subject",
        "as_subject": "subject",
        "command": "program",
        "isolated": "own_process",
        "load": "subject",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
