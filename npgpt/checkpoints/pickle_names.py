"""The functions and classes that a pickle names, found without following it: a list for people."""

import pickletools
from pathlib import Path

from npgpt.checkpoints import inert_pickle, torch_legacy, torch_pickle, weights
from npgpt.checkpoints.files import map_file
from npgpt.errors import CheckpointError
from npgpt.quoting import LONGEST

_MOST = 100  # names listed
_PICKLES = ("zip", "pickle", torch_legacy.FORM)


def of_file(path: Path) -> list[str] | None:
    """What the pickle in a file names, or None where the file has no pickle that can be found."""
    try:
        form = weights.guess(path)
        if form not in _PICKLES:
            return None
        if form == "zip":
            return names(torch_pickle.pickle(path))
        data = map_file(path)
        start = torch_legacy.after_header(data, path) if form == torch_legacy.FORM else 0
        return names(data[start : start + inert_pickle.LIMIT])
    except CheckpointError:
        return None


def names(pickle: bytes) -> list[str]:
    r"""The names, sorted, as far as the pickle can be followed; no name is looked up.

    >>> names(b"\x80\2cos\nsystem\nX\2\0\0\0id\x85R.")
    ['os.system']
    """
    found: set[str] = set()
    texts: list[str] = []
    memo: dict[int, str] = {}
    last: str | None = None  # the value on top, where that is a text
    try:
        for opcode, argument, _ in pickletools.genops(pickle):
            match opcode.name:
                case "GLOBAL" | "INST":
                    found.add(".".join(str(argument).split(" ", 1)))
                case "STACK_GLOBAL":
                    found.add(".".join(texts[-2:]))
                case "MEMOIZE":
                    memo[len(memo)] = last or ""
                case "PUT" | "BINPUT" | "LONG_BINPUT":
                    memo[int(argument or 0)] = last or ""
                case "GET" | "BINGET" | "LONG_BINGET":
                    texts.append(memo.get(int(argument or 0), ""))
                case _ if isinstance(argument, str):
                    texts.append(argument)
            if opcode.name not in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
                last = argument if isinstance(argument, str) else None
            if len(found) == _MOST:
                break
            del texts[:-2]
    except (ValueError, OverflowError):
        pass  # not a pickle from here on
    return sorted(name[:LONGEST] for name in found)
