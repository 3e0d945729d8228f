"""Known failures: checks that a subject is known to fail, each with its reason, as a file has them.

One a line, as in

    # llama.cpp's adapter, issue 12
    cache/padding: padding is not taken there yet

Lines that are empty or begin with # say nothing. Checks that stand there do not make a subject
wrong; one that is right all the same is told, so that the file stays true.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from oracle.adapters.subject import NoSubject


def read_known_failures(path: str | Path, names: Sequence[str]) -> dict[str, str]:
    """Reasons by the names of checks, which are among `names`.

    Raises NoSubject, in one line that begins with the file and the line's number, for a check that
    does not exist, stands there twice, or has no reason; and OSError where there is no such file.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise NoSubject(f"{path} is no UTF-8: {error.reason} at byte {error.start}") from None
    reasons: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, reason = (part.strip() for part in line.partition(":"))
        if wrong := _wrong(name, reason, names, reasons):
            raise NoSubject(f"{path}, line {number}: {wrong}")
        reasons[name] = reason
    return reasons


def check_names(names: Mapping[str, str], known: Sequence[str], where: str) -> None:
    """Raise NoSubject for the first name that no check has, with the nearest."""
    for name in names:
        if name not in known:
            raise NoSubject(f"{where} has {name!r}, which is no check; {_nearest(name, known)}")


def _wrong(name: str, reason: str, names: Sequence[str], before: dict[str, str]) -> str:
    """What is wrong with a line, or nothing."""
    if name not in names:
        return f"there is no check {name!r}; {_nearest(name, names)}"
    if name in before:
        return f"{name} stands there before, as {before[name]!r}; take one of the two out"
    return "" if reason else f"{name} has no reason; write one after a colon"


def _nearest(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    return f"the nearest is {near[0]}" if near else f"they are {', '.join(names)}"
