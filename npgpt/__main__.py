"""The command `npgpt`, also as `python -m npgpt`; it starts here.

Importing NumPy takes a while, and a Ctrl-C in that time would end in a traceback. So this module
imports little, and says what a Ctrl-C does before it imports the rest.
"""

import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn


def main() -> int:
    """Run the process's own command line and give its exit code, as `program.main` has them.

    Until the program is imported, and once its output is written, a Ctrl-C ends the process at
    once, without a word; between, it is the KeyboardInterrupt that commands know.
    """
    # A parent can have it ignored (nohup, a shell's &), and so it stays.
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler or (
        threading.current_thread() is not threading.main_thread()
    ):
        from npgpt._cli import program

        return program.main()
    signal.signal(signal.SIGINT, _leave)
    from npgpt._cli import program

    try:
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            return program.main()
        finally:
            signal.signal(signal.SIGINT, _leave)
    except KeyboardInterrupt:  # between one line and the next
        _leave()


def _leave(number: int = signal.SIGINT, frame: FrameType | None = None) -> NoReturn:
    # Python's own way out would import and print more, and be interrupted again.
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
