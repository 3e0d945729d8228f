"""`python -m oracle` where a package that it needs is not there."""

import subprocess
import sys
from pathlib import Path

import pytest

from oracle.__main__ import NEEDED
from tests.helpers.patience import NEVER

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("missing", NEEDED)
def test_a_missing_package_is_one_line_that_says_what_to_install(missing):
    # None in sys.modules is what Python itself takes for "not there".
    program = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['oracle', 'judge', 'x']; "
        "import runpy; runpy.run_module('oracle', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=NEVER
    )
    assert done.stderr.startswith(f"oracle: {missing} is not installed; pip install {missing}")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
