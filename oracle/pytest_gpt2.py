"""pytest --gpt2-subject=package.module:attribute: the judge's checks as tests, beside one's own.

pytest imports this module in every run where npgpt-oracle is installed. So it stands outside the
package, under a name that nobody else has, needs nothing but pytest, and imports `oracle` only when
there is something to judge: a project may have a package `oracle` of its own, and no PyTorch.

Each option is a key of pytest's configuration too: --gpt2-time-limit is gpt2_time_limit.
"""

import importlib.util
from typing import Any

import pytest

# Of each option of `python -m oracle judge`: what its value is, and a line of help. "LIST" may be
# given several times, and is several lines of a configuration; "FLAG" takes no value.
OPTIONS = {
    "subject": ("MODULE:ATTRIBUTE", "a Python object to judge"),
    "command": ("LINE", "a program to judge, which answers JSON lines"),
    "format": ("FORMAT", "of the file in place of {checkpoint} in the command"),
    "only": ("LIST", 'some checks, as in "model/*"; may be given several times'),
    "sizes": ("SIZE", "how large the models are: toy, borders or gpt2"),
    "examples": ("N", "how many for each check"),
    "seed": ("N", "of the examples; without it, a fresh one"),
    "seconds": ("SECONDS", "limit of a call"),
    "time-limit": ("SECONDS", "of all: what is not reached is not judged, and skipped"),
    "in-process": ("FLAG", "a Python subject that you trust, in pytest's own process: quicker"),
    "no-diagnosis": ("FLAG", "the verdict alone: no place, no name"),
    "dtype": ("DTYPE", "handed to a subject that is a function"),
    "device": ("DEVICE", "handed to a subject that is a function: cpu, cuda"),
    "strict": ("FLAG", "to answer where there is no answer is wrong"),
    "xfail": ("FILE", "known failures: a check a line, a colon, and the reason"),
    "json": ("FILE", "write all of it as JSON"),
    "html": ("FILE", "write a report, one page for a browser"),
    "save": ("FOLDER", "write what fails, and how to replay it"),
}
SUBJECTS = ("subject", "command")  # one of which there must be, or nothing is judged


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, as `pytest --help` shows them, and their keys."""
    group = parser.getgroup("gpt2", "is this GPT-2 right? (python -m oracle judge, as tests)")
    for name, (value, about) in OPTIONS.items():
        takes: dict[str, Any] = {"metavar": value}
        if value == "LIST":
            takes = {"metavar": "PATTERN", "action": "append"}
        elif value == "FLAG":
            takes = {"action": "store_true"}
        group.addoption(f"--gpt2-{name}", dest=_key(name), default=None, help=about, **takes)
        kind = {"LIST": "linelist", "FLAG": "bool"}.get(value, "string")
        parser.addini(_key(name), about, type=kind, default=None)


def given(config: pytest.Config) -> dict[str, Any]:
    """What was given of the options, by their names: on the command line, or else as a key."""
    values = {}
    for name in OPTIONS:
        value = config.getoption(_key(name), None)
        values[name] = config.getini(_key(name)) if value is None else value
    return {name: value for name, value in values.items() if value}


def pytest_configure(config: pytest.Config) -> None:
    """Add the checks, where there is a subject for them."""
    options = given(config)
    if not any(name in SUBJECTS for name in options):
        return
    try:
        from oracle.conformance import _pytest_plugin
    except ImportError as error:
        raise pytest.UsageError(_missing(error)) from error
    by_name = any(config.getoption(_key(name), None) for name in SUBJECTS)
    _pytest_plugin.configure(config, options, by_key=not by_name)
    config.pluginmanager.register(_pytest_plugin, "gpt2-checks")


def _missing(error: ImportError) -> str:
    """In one line, what stands in the way of the checks, and what to do."""
    spec = importlib.util.find_spec("oracle")
    needed = (error.name or "").partition(".")[0]
    if spec and needed not in ("", "oracle"):
        return f"the checks need {needed}, which is not here ({error}); pip install {needed}"
    where = (spec.origin or "a folder without __init__.py") if spec else "not there"
    return (
        f"the checks are in npgpt-oracle's package `oracle`, but here that is {where} "
        f"({error}); run them where no other package of that name comes first"
    )


def _key(name: str) -> str:
    return f"gpt2_{name.replace('-', '_')}"
