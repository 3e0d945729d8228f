"""Names of functions and classes in a pickle, found without following it: a list for people."""

import pickletools

from npgpt._quoting import LONGEST

_MOST = 100  # names listed


def names_in_pickle(pickle: bytes) -> list[str]:
    r"""The names, sorted, as far as the pickle can be followed; no name is looked up.

    >>> names_in_pickle(b"\x80\2cos\nsystem\nX\2\0\0\0id\x85R.")
    ['os.system']
    """
    names: set[str] = set()
    texts: list[str] = []
    memo: dict[int, str] = {}
    last: str | None = None  # the value on top, where that is a text
    try:
        for opcode, argument, _ in pickletools.genops(pickle):
            match opcode.name:
                case "GLOBAL" | "INST":
                    names.add(".".join(str(argument).split(" ", 1)))
                case "STACK_GLOBAL":
                    names.add(".".join(texts[-2:]))
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
            if len(names) == _MOST:
                break
            del texts[:-2]
    except (ValueError, OverflowError):
        pass  # not a pickle from here on
    return sorted(name[:LONGEST] for name in names)
