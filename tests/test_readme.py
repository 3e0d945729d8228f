"""Every command and code block of the documentation does what the page says."""

from pathlib import Path

import pytest

from tests.helpers.documentation import LANGUAGES, ROOT, blocks, pages, run

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
    # None is missed for being indented, or never closed.
    assert (ROOT / page).read_text(encoding="utf-8").count("```") == 2 * len(found)


def test_the_readme_fits_on_a_few_screens() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
