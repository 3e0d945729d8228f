"""What makes up a command."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import NamedTuple


class Command(NamedTuple):
    """One command of `npgpt`.

    usage: its arguments in short. summary: one line for the list of commands. examples: command
    lines, each with what it does. `add_arguments` declares the arguments that `run` then reads;
    what `run` returns is the exit code, None for 0.
    """

    name: str
    usage: str
    summary: str
    examples: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int | None]
