"""Figures that pages state and code knows: mutants, checks, settings, bad files."""

import pytest

from tests.helpers.documentation import ROOT, pages
from tests.helpers.figures import FIGURES, figures

PAGES = [*pages(), *(ROOT / "oracle").glob("*/*.md"), *(ROOT / "weights").glob("*.md")]


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in PAGES])
def test_every_figure_is_that_of_today(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    wrong = [figure for figure in figures(text) if figure.said != figure.right]
    assert not wrong, f"python -m tests.helpers.update_docs {page}    # corrects them"


def test_every_figure_stands_somewhere() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    stated = {figure.pattern for text in texts for figure in figures(text)}
    assert stated == set(FIGURES)
