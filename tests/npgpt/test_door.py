"""The front door: what a bare `import npgpt` offers, and what its objects look like there."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import npgpt
from npgpt import errors
from npgpt._gpt import shipped

PACKAGES = ("audit", "checkpoints", "decoding", "errors", "model", "ops", "tokenizer", "trace")


def _fresh(script: str) -> str:
    """What the script prints in a Python of its own, that has imported nothing."""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout


def test_every_public_name_is_an_attribute_after_a_bare_import() -> None:
    printed = _fresh(
        "import npgpt\n"
        "for name in npgpt.__all__: print(name, getattr(npgpt, name) is not None)\n"
        "from npgpt import *\n"
        "print(load, GPT)"
    )
    assert re.findall(r"^(\w+) True$", printed, re.M) == npgpt.__all__
    assert set(PACKAGES) <= set(npgpt.__all__)


def test_dir_is_the_list_of_public_names() -> None:
    assert dir(npgpt) == sorted(npgpt.__all__)


def test_a_bare_import_loads_nothing() -> None:
    """So that the command line and a single package start no slower for the door."""
    printed = _fresh("import sys, npgpt; print(*{n.split('.')[0] for n in sys.modules})")
    assert "npgpt" in printed.split()
    assert "numpy" not in printed.split()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'npgpt' has no attribute 'generat'"):
        npgpt.generat  # noqa: B018
    assert not hasattr(npgpt, "_nothing")


def test_the_version_of_the_package_is_that_of_its_metadata() -> None:
    try:
        installed = metadata.version("npgpt")
    except metadata.PackageNotFoundError:
        pytest.skip("npgpt is not installed here")
    assert npgpt.__version__ == installed


def test_errors_lists_every_exception_it_defines() -> None:
    defined = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert defined == set(errors.__all__)


def test_a_model_is_shown_in_a_few_lines(gpt: npgpt.GPT) -> None:
    shown = repr(gpt)
    assert len(shown) < 400
    for part in ("5,853,184 of float32", "n_layer 6", "of 4096 tokens", "temperature=0.8"):
        assert part in shown
    assert str(shipped()) in shown
    cells = re.findall(r"<td>(.*?)</td>", gpt._repr_html_())
    assert cells[:2] == ["5,853,184 of float32", "6"]


def test_a_model_made_by_hand_is_shown_too(gpt: npgpt.GPT) -> None:
    assert "tokenizer none; defaults none; path none" in repr(npgpt.GPT(gpt.config, gpt.parameters))


def test_models_are_equal_where_they_are_one(gpt: npgpt.GPT) -> None:
    other = npgpt.GPT(gpt.config, gpt.parameters)
    assert gpt == gpt
    assert gpt != other
    assert len({gpt, other, gpt}) == 2


@pytest.fixture(scope="module")
def gpt() -> npgpt.GPT:
    return npgpt.load(Path(shipped()))
