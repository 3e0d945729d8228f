"""Every command and code block of the documentation does what the page says."""

import contextlib
import functools
import importlib
import io
import re
from pathlib import Path

import pytest

import npgpt
from npgpt._cli.program import main
from tests.helpers.documentation import LANGUAGES, ROOT, blocks, pages, run, same_output
from tests.helpers.terminal_picture import PICTURE, drawn

NAMES = [str(page.relative_to(ROOT)) for page in pages()]


@pytest.mark.parametrize("page", NAMES)
def test_every_output_is_the_one_shown(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = [str(example) for example in run(ROOT / page, tmp_path) if not example.holds]
    remedy = f"python -m tests.helpers.update_docs {page}    # writes what is printed"
    assert not wrong, "\n\n".join(["", *wrong, remedy])


@pytest.mark.parametrize("page", NAMES)
def test_every_block_is_of_a_kind_that_is_tested(page: str) -> None:
    found = blocks(ROOT / page)
    assert {block.language for block in found} <= set(LANGUAGES)
    # Only what is not run may be indented, as in a list; and none is missed.
    assert {block.language for block in found if block.indented} <= {"sh", "text"}
    assert (ROOT / page).read_text(encoding="utf-8").count("```") == 2 * len(found)


def test_the_readme_fits_on_a_few_screens() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_picture_of_a_terminal_shows_what_is_printed() -> None:
    remedy = "python -m tests.helpers.terminal_picture    # draws it again"
    assert same_output(PICTURE.read_text(encoding="utf-8"), drawn()), remedy


@pytest.mark.parametrize("page", NAMES)
def test_every_name_in_running_text_exists(page: str) -> None:
    prose = re.sub(r"(?m)^\| .+? \| ", "| ", _prose(page)) if "CHANGELOG" in page else _prose(page)
    missing = [name for name in _names(prose) if not _exists(name)]
    assert not missing


@pytest.mark.parametrize("page", NAMES)
def test_every_option_in_running_text_exists(page: str) -> None:
    for command, rest in re.findall(r"`npgpt (\w+)([^`]*)`", _prose(page)):
        options = set(re.findall(r"(?<!\S)--[a-z-]+", rest))
        assert options <= _options(command), f"npgpt {command}{rest}"


@pytest.mark.parametrize("page", NAMES)
def test_every_path_in_running_text_exists(page: str) -> None:
    spans = re.findall(
        r"`((?:tests|npgpt|oracle|docs|weights)/[\w/.*-]+|test_[\w*]+\.py)`", _prose(page)
    )
    missing = [span for span in spans if not any(ROOT.glob(_pattern(span)))]
    assert not missing


def _pattern(path: str) -> str:
    """The path, in tests if it has no folder, with anything for NAME."""
    return (path if "/" in path else f"tests/**/{path}").replace("NAME", "*")


def _prose(page: str) -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def _names(prose: str) -> list[str]:
    spans = re.findall(r"`([^`]+)`", prose)
    return [
        name for span in spans for name in re.findall(r"\b(?:npgpt|gpt)(?:\.[A-Za-z_]\w*)+", span)
    ]


def _exists(name: str) -> bool:
    first, *rest = name.split(".")
    if rest[-1] in ("py", "gguf", "npz"):
        return True  # a file
    thing: object = npgpt if first == "npgpt" else _gpt()
    for i, part in enumerate(rest):
        if not hasattr(thing, part):
            try:
                thing = importlib.import_module(".".join(["npgpt", *rest[: i + 1]]))
            except ImportError:
                return False
        else:
            thing = getattr(thing, part)
    return True


@functools.cache
def _gpt() -> npgpt.GPT:
    return npgpt.load()


@functools.cache
def _options(command: str) -> set[str]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([command, "--help"])
    return set(re.findall(r"--[a-z-]+", printed.getvalue())) | {"--help"}


def test_every_difference_from_transformers_is_held_by_a_test_beside_it() -> None:
    page = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if re.match(r"\| [^|]", line)]
    assert not [line for line in lines if "<!-- test_" not in line]
    files = (ROOT / "tests" / "peer").glob("test_*differences.py")
    tests = [re.findall(r"^def (test_\w+)", file.read_text(), re.M) for file in files]
    assert set(re.findall(r"\btest_\w+", page)) == {name for names in tests for name in names}


def test_the_layers_of_the_design_are_those_that_the_linter_checks() -> None:
    design = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    shown = re.findall(r"^  ([a-z_]+(?: \| [a-z_]+)*)(?: {2,}.*)?$", design, re.M)
    contracts = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(r"^layers = \[\n(.*?)^\]", contracts, re.M | re.S)
    named = {
        " | ".join(name.split(".")[1].removeprefix("_") for name in layer.split(" | "))
        for layer in re.findall(r'"(.+)",', "".join(lists))
    }
    below = ("config", "_main__", "quoting", "errors")  # shown in part, or not at all
    assert {layer for layer in named if not layer.startswith(below)} | {"config | trace"} == set(
        shown
    )


def test_every_schema_is_listed() -> None:
    folder = ROOT / "docs" / "schemas"
    listed = re.findall(r"\]\((\S+\.json)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(path.name for path in folder.glob("*.json"))
