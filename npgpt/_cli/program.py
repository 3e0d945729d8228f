"""The program `npgpt`: reads the command line, runs a command, answers for what goes wrong."""

import argparse
import difflib
import errno
import io
import os
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from npgpt._cli.command import Command
from npgpt._cli.commands import (
    attribute,
    audit,
    bench,
    convert,
    diff,
    fetch,
    generate,
    inspect,
    lens,
    patch,
    score,
    tokenize,
)
from npgpt._cli.output import say
from npgpt._quoting import brief
from npgpt._versions import versions
from npgpt.errors import NpgptError, SettingError

COMMANDS = (
    generate.COMMAND,
    score.COMMAND,
    tokenize.COMMAND,
    audit.COMMAND,
    lens.COMMAND,
    attribute.COMMAND,
    patch.COMMAND,
    diff.COMMAND,
    inspect.COMMAND,
    convert.COMMAND,
    fetch.COMMAND,
    bench.COMMAND,
)

# Exit codes: 2 as argparse has it; 70 is sysexits' for software at fault, and no verdict, as
# Python's own 1 would be; 128 + the signal's number as a shell reports SIGINT and SIGPIPE.
_FAILED = 2
_BROKEN = 70
_INTERRUPTED = 128 + 2
_PIPE_CLOSED = 128 + 13

_NO_MEMORY = (
    "there is not enough memory; ask for less at a time (a shorter text, fewer beams), or give "
    "--memory SIZE to the commands that have it, or another model"
)

# What writing to a closed pipe fails with; EINVAL is Windows' word for it.
_CLOSED_PIPE = (errno.EPIPE, errno.EINVAL) if os.name == "nt" else (errno.EPIPE,)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `npgpt ARGV` (default: the process's own) and give its exit code.

    0 where all went well; 1 where a command that compares found a difference; 2 after one line on
    standard error that says what is wrong; 70 after one line where npgpt itself is at fault; 130
    after Ctrl-C, and 141 where the reader of standard output has gone, both without a word.
    `--help` raises SystemExit(0), as argparse does.
    """
    code = 0
    try:
        _write_text_exactly()
        try:
            code = _run(argv)
        except NpgptError as error:
            say(str(error))
            code = _FAILED
        except MemoryError:
            say(_NO_MEMORY)
            code = _FAILED
        except OSError as error:
            if error.errno != errno.ENOMEM:  # as mapping a file fails
                raise
            say(_NO_MEMORY)
            code = _FAILED
        except Exception as error:
            say(_fault(error))
            code = _BROKEN
        finally:
            print(end="", flush=True)
    except KeyboardInterrupt:
        _drop_output()
        return _INTERRUPTED
    except OSError as error:
        # Commands turn the errors of the files they read into NpgptError, so this is the output.
        _drop_output()
        if error.errno in _CLOSED_PIPE:
            return _PIPE_CLOSED
        say(f"the output cannot be written ({error.strerror})")
        return _FAILED
    return code


def _fault(error: Exception) -> str:
    """One line about an exception that npgpt should not have raised: what, and where."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{type(error).__name__}: {brief(str(error))}, at {Path(frame.filename).name}:"
        f"{frame.lineno}; this is a fault of npgpt: please report it, with the command"
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError(f"{message}; see {self.prog} --help")


def _run(argv: Sequence[str] | None) -> int:
    arguments, left_over = command_line().parse_known_args(argv)
    if arguments.version:
        print(", ".join(f"{name} {version}" for name, version in versions().items()))
    elif arguments.command is None:
        names = ", ".join(command.name for command in COMMANDS)
        raise SettingError(f"no command is given; give one of {names}; see npgpt --help")
    else:
        if left_over:
            arguments.parser.error(_explain(left_over, arguments.parser))
        return arguments.run(arguments) or 0
    return 0


def command_line() -> argparse.ArgumentParser:
    """The parser of the whole program; completion and the man page are made from it too."""
    parser = _Parser(
        prog="npgpt",
        description="GPT-2 in NumPy: continue, score, tokenize a text; get, inspect, time a model.",
        epilog="npgpt COMMAND --help explains a command and gives examples.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the versions and stop")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for command in COMMANDS:
        _add(commands, command)
    return parser


def _add(commands: "argparse._SubParsersAction[_Parser]", command: Command) -> None:
    parser = commands.add_parser(
        command.name,
        prog=f"npgpt {command.name}",
        usage=f"npgpt {command.name} {command.usage}",
        help=command.summary,
        description=command.summary[0].upper() + command.summary[1:] + ".",
        epilog="examples:\n" + command.examples.rstrip("\n"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # An abbreviation would change its meaning when an option is added.
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    parser.set_defaults(run=command.run, parser=parser)


def _explain(left_over: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """Why an argument was not understood, and what was perhaps meant."""
    options = [word.partition("=")[0] for word in left_over if word.startswith("-")]
    if not options:
        return f"{left_over[0]!r} is one argument too many; put a text of several words in quotes"
    all_options = re.findall(r"--[a-z-]+", parser.format_help())
    near = difflib.get_close_matches(options[0].replace("_", "-"), all_options, n=1)
    hint = f"did you mean {near[0]}?" if near else "a text that starts with a dash goes after --"
    return f"there is no option {options[0]!r}; {hint}"


def _write_text_exactly() -> None:
    r"""Print "\n" as it is, also on Windows, and what the encoding lacks as an escape (\u2019)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(newline="\n", errors="backslashreplace")


def _drop_output() -> None:
    """Forget what was not written yet, which Python would try once more, and complain, on exit."""
    with suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
