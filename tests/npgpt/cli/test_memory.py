import argparse
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt._cli.argument_types import size
from npgpt.model._paging import resident
from tests.helpers.command_line import output, run

LINUX = pytest.mark.skipif(resident() is None, reason="no /proc/self/statm, or no madvise")
UNITS = {"": 1, "B": 1, "K": 10**3, "kB": 10**3, "MB": 10**6, "gb": 10**9, "TB": 10**12,
         "KiB": 2**10, "mib": 2**20, "Gi": 2**30, "TiB": 2**40}  # fmt: skip


@given(st.integers(0, 10**9), st.integers(0, 999), st.sampled_from(list(UNITS)), st.booleans())
def test_sizes_are_what_they_say(whole: int, thousandths: int, unit: str, spaced: bool) -> None:
    text = f"{whole}.{thousandths:03}{' ' * spaced}{unit}"
    assert size(text) == int(Fraction(1000 * whole + thousandths, 1000) * UNITS[unit])
    assert size(f"{whole}{unit}") == whole * UNITS[unit]


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1,5GB", "1.GB", "1iB", "2 XB", "٣GB", "1e9"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write it as in 2GB"):
        size(text)


@LINUX
@pytest.mark.parametrize(
    "command",
    [["generate", "--max-new-tokens", "3"], ["score"], ["lens"], ["patch", "--ablate", "zero"]],
)
def test_a_model_in_little_memory_says_the_same(model: Path, command: list[str]) -> None:
    # What is printed has four digits; the last bits depend on how the weights lie in memory.
    argv = [*command, "--model", model, "To be"]
    assert output(*argv) == output(*argv, "--memory", "100GB") == output(*argv, "--no-widen")


@LINUX
@pytest.mark.parametrize("command", ["generate", "score", "lens", "attribute"])
def test_too_little_is_said_with_what_works(model: Path, command: str) -> None:
    ran = run(command, "--model", model, "--memory", "1MB", "To be")
    assert ran.code == 2
    assert ran.out == ""
    assert "memory is 1000000 bytes; this model takes at least" in ran.err
