"""pytest --gpt2-subject=package.module:attribute: the judge's checks as tests, beside one's own.

pytest imports this module in every run where npgpt-oracle is installed. So it stands outside the
package, under a name that nobody else has, and imports `oracle` only when there is something to
judge: a project may have a package `oracle` of its own.
"""

import importlib.util

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, as `pytest --help` shows them."""
    group = parser.getgroup("gpt2", "is this GPT-2 right? (python -m oracle judge, as tests)")
    group.addoption("--gpt2-subject", metavar="MODULE:ATTRIBUTE", help="a Python object to judge")
    group.addoption("--gpt2-command", metavar="LINE", help="a program to judge")
    # The names of `oracle.conformance._sizes`, which is not imported here.
    group.addoption(
        "--gpt2-sizes",
        choices=("toy", "borders", "gpt2"),
        default="borders",
        help="how large the models are, and all below it (borders)",
    )
    group.addoption("--gpt2-examples", type=int, metavar="N", help="how many for each check")
    group.addoption("--gpt2-seed", type=int, metavar="N", help="which examples")


def pytest_configure(config: pytest.Config) -> None:
    """Add the checks, where there is a subject for them."""
    if not (config.getoption("gpt2_subject") or config.getoption("gpt2_command")):
        return
    try:
        from oracle.conformance import _pytest_plugin as pytest_plugin
    except ImportError as error:
        spec = importlib.util.find_spec("oracle")
        where = spec.origin if spec and spec.origin else "not there"
        raise pytest.UsageError(
            f"the checks are in npgpt-oracle's package `oracle`, but here that is {where} "
            f"({error}); run them where no other package of that name comes first"
        ) from error
    if not config.pluginmanager.is_registered(pytest_plugin):
        config.pluginmanager.register(pytest_plugin, "gpt2-checks")
