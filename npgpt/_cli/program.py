"""The program `npgpt`: reads the command line, runs a command, answers for what goes wrong."""

import argparse
import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from npgpt._cli import explanations
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
from npgpt._quoting import brief, quoted
from npgpt._versions import versions
from npgpt.errors import NpgptError, PromptError, SettingError

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
    words = list(sys.argv[1:] if argv is None else argv)
    _check_start(words)
    if words and words[0] == "help":
        words = [*words[1:2], "--help"]
    parser = command_line()
    if not words:
        parser.print_help()
        return 0
    commands = _commands(parser)
    if words[0] in commands:
        explanations.check_flags(words[1:], commands[words[0]])
    elif not words[0].startswith("-"):
        raise SettingError(explanations.unknown_command(words[0], commands))
    arguments, left_over = parser.parse_known_args(words)
    if arguments.version:
        print(", ".join(f"{name} {version}" for name, version in versions().items()))
    elif arguments.command is None:
        names = ", ".join(command.name for command in COMMANDS)
        raise SettingError(f"no command is given; give one of {names}; see npgpt --help")
    else:
        if left_over:
            arguments.parser.error(explanations.unknown(left_over, arguments.parser))
        try:
            return arguments.run(arguments) or 0
        except (SettingError, PromptError) as error:
            spelled = explanations.as_options(str(error), arguments.parser)
            raise type(error)(spelled) from error
    return 0


def _check_start(words: Sequence[str]) -> None:
    """Raise where an option of a command comes before it."""
    first = words[0] if words else "-h"
    if first.startswith("-") and first not in ("-h", "--help", "-V", "--version"):
        raise SettingError(
            f"{quoted(first)} comes before the command; write npgpt COMMAND {first}; "
            "see npgpt --help"
        )


def command_line() -> argparse.ArgumentParser:
    """The parser of the whole program; completion and the man page are made from it too."""
    parser = _Parser(
        prog="npgpt",
        description="GPT-2 in NumPy: continue, score, tokenize a text; get, inspect, time a model.",
        epilog="npgpt COMMAND --help explains a command and gives examples.",
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="store_true", help="print the versions and stop")
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


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its name."""
    (choices,) = (a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(choices)


def _write_text_exactly() -> None:
    r"""Print "\n" as it is, also on Windows, and what the encoding lacks as an escape (\u2019)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(newline="\n", errors="backslashreplace")


def _drop_output() -> None:
    """Forget what was not written yet, which Python would try once more, and complain, on exit."""
    with suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
