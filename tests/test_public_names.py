"""docs/api.md lists what is public, and README and the documentation use nothing else."""

import importlib
import re
from pathlib import Path

import pytest

from tests.helpers import api_page

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Written from the source, and modules that a page names to be read, run or given on a command line.
NOT_HELD = {"api.md"}
TO_READ = re.compile(r"oracle\.adapters\.(npgpt|pytorch|transformers)\b|(npgpt|oracle)\.\w+:\w")


def test_the_page_is_up_to_date() -> None:
    assert api_page.page() == api_page.PAGE.read_text(encoding="utf-8"), (
        "run python -m tests.helpers.api_page"
    )


def test_every_public_name_can_be_imported() -> None:
    for module in ("npgpt", "oracle", *_public_modules("npgpt"), *_public_modules("oracle")):
        for name in api_page.public(module):
            assert getattr(importlib.import_module(module), name, None) is not None, name


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in NOT_HELD], ids=str)
def test_a_page_names_public_names_only(page: Path) -> None:
    wrong = [path for path in _paths(page.read_text(encoding="utf-8")) if not _is_public(path)]
    assert not wrong


def test_a_private_name_would_be_seen() -> None:
    text = (
        "```pycon\n>>> from npgpt.decoding._beam import beam_search\n```\nand `npgpt._quoting.kind`"
    )
    assert [path for path in _paths(text) if not _is_public(path)] == [
        "npgpt.decoding._beam.beam_search",
        "npgpt._quoting.kind",
    ]
    fine = "`npgpt.GPT.generate`, `oracle.bounds.softmax` and `npgpt.errors.PromptError`"
    assert all(_is_public(path) for path in _paths(fine))
    assert len(_paths(fine)) == 3


def _paths(text: str) -> list[str]:
    """The dotted names of the two packages in code: blocks of Python, and spans of prose."""
    blocks = re.findall(r"^```(?:pycon|python)\n(.*?)^```", text, re.M | re.S)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    code = "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", prose)])
    code = re.sub(r'"[^"\n]*"|\'[^\'\n]*\'', "", TO_READ.sub("", code))
    paths = []
    for module, names in re.findall(r"from ((?:npgpt|oracle)[\w.]*) import ([\w, ]+)", code):
        paths += [f"{module}.{name.split()[0]}" for name in names.split(",")]
    rest = re.sub(r"from (npgpt|oracle)[\w.]* import .*", "", code)
    return paths + re.findall(r"(?<![\w./-])(?:npgpt|oracle)(?:\.\w+)+", rest)


def _is_public(path: str) -> bool:
    """Whether each part of a dotted name is in the `__all__` of what stands before it."""
    module, *rest = path.split(".")
    while rest:
        name = rest.pop(0)
        if name not in api_page.public(module):
            return False
        if not api_page.hands_on_module(module, name):
            holder = getattr(importlib.import_module(module), name)
            return not rest or hasattr(holder, rest[0]) or rest[0] in _fields(holder)
        module = f"{module}.{name}"
    return True


def _fields(holder: object) -> tuple[str, ...]:
    return tuple(getattr(holder, "__dataclass_fields__", ()))


def _public_modules(module: str) -> list[str]:
    inner = [n for n in api_page.public(module) if api_page.hands_on_module(module, n)]
    names = [f"{module}.{name}" for name in inner]
    return names + [deeper for name in names for deeper in _public_modules(name)]
