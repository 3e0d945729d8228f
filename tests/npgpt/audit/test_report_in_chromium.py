"""The page of an audit in a browser: at a phone's width, by keyboard, in both colour schemes."""

import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from npgpt._gpt import GPT
from npgpt.audit.report import _page as report_page
from tests.helpers.audits import LONGER, audited, odd_gpts
from tests.helpers.contrast import READABLE, contrast
from tests.helpers.small_gpt import TOKENIZER, parameters

pytest.importorskip("playwright", reason="playwright, which drives the browser, is not installed")
from tests.helpers.chromium import NAMES, Page, chromium, found

pytestmark = pytest.mark.skipif(
    found() is None or sys.platform == "win32",
    reason=f"no Chromium is to be found by a name such as {NAMES[0]}",
)
PHONE, DESKTOP = 360, 1200
SHEET = 718  # A4, between margins of one centimetre
HOSTILE = ["W" * 300, "</script><b>", "\u202eevil", "e" + 40 * "\u0301", "\0", 150 * "漢", "<!--",
           100 * " ", 30 * "\n", "\u2028", 40 * "😀", "مرحبا"]  # fmt: skip
ATTACK = "</script><img src=x onerror=document.title='hit'><!--<script> & \\u003c"
# Of every text on the page, its colour and what it stands on; layers of no colour are seen through.
COLOURS = """(() => {
  const found = [], clear = /^rgba\\(.*, 0\\)$|^transparent$/;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    let at = node.parentElement, size = at.getClientRects().length;
    if (!node.data.trim() || !size || at.closest("script, style, option")) continue;
    const ink = getComputedStyle(at).color;
    while (at && clear.test(getComputedStyle(at).backgroundColor)) at = at.parentElement;
    found.push([node.data.slice(0, 30), ink, at ? getComputedStyle(at).backgroundColor : "none"]);
  }
  return found;
})()"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a text that would be a script, longer than a phone is wide."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(audited(ATTACK)[0], encoding="utf-8")
    return path


def focused(page: Page) -> str:
    """What has the focus: its id, else its label."""
    label = "document.activeElement.id || document.activeElement.getAttribute('aria-label')"
    return str(page.evaluate(label))


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_it_fits_and_asks_for_nothing(page: Page, report: Path, width: int) -> None:
    page.open(report, width)
    assert page.evaluate("innerWidth") == width
    here = "document.documentElement"
    assert page.evaluate(f"{here}.scrollWidth - {here}.clientWidth") == 0
    page.evaluate("enlarge(0, 0)")
    assert page.evaluate("document.getElementById('dialog').scrollWidth") <= width
    assert page.said == []
    assert page.asked == [report.as_uri()]


@pytest.mark.parametrize("prompt", ["S", "Shall I compare"])
@pytest.mark.parametrize("name", [None, "nan", "flat"])
def test_what_is_missing_breaks_nothing(
    page: Page, tmp_path: Path, name: str | None, prompt: str
) -> None:
    report = tmp_path / "report.html"
    report.write_text(audited(prompt, name and odd_gpts()[name])[0], encoding="utf-8")
    page.open(report, PHONE)
    text = page.evaluate("document.body.innerText")
    assert ("Not verified" in text) == (name == "nan")
    assert not re.search("undefined|NaN%|object Object|null", text)
    page.evaluate("data.patterns.length && enlarge(0, 0)")
    assert page.said == []
    assert page.evaluate("innerWidth") == PHONE


def hostile_gpt() -> GPT:
    """With tokens that no page has room for, and a token that the tokenizer lacks."""
    known = TOKENIZER.vocab_size
    special = {text: known + i for i, text in enumerate(HOSTILE)}
    special |= TOKENIZER.special_tokens
    tokenizer = dataclasses.replace(TOKENIZER, special_tokens=special)
    config = dataclasses.replace(LONGER, vocab_size=tokenizer.vocab_size + 1, n_layer=14, n_head=8)
    return GPT(config, parameters(config), tokenizer)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    gpt = hostile_gpt()
    path.write_text(audited([*range(gpt.config.vocab_size - 30, gpt.config.vocab_size)], gpt)[0])
    return path


@pytest.mark.parametrize("width", [320, DESKTOP])
def test_tokens_of_any_text_fit(page: Page, hostile: Path, width: int) -> None:
    page.open(hostile, width)
    here = "document.documentElement"
    assert page.evaluate(f"{here}.scrollWidth - {here}.clientWidth") == 0
    page.evaluate("enlarge(0, 0)")
    dialog = "document.getElementById('dialog')"
    assert page.evaluate(f"{dialog}.scrollWidth - {dialog}.clientWidth") == 0
    texts = page.evaluate("[...document.querySelectorAll('.word')].map((x) => x.textContent)")
    assert "id\u2423" in texts[-1]
    assert not set("\u202e\u2028\0") & set("".join(texts))
    assert page.said == []


def test_on_paper_nothing_is_cut(page: Page, hostile: Path) -> None:
    """A table of more columns than a sheet takes is printed as several, and is whole afterwards."""
    page.open(hostile, SHEET, printed=True)
    cells = "[...document.querySelectorAll('#lens tbody tr:first-child td')].length"
    before = page.evaluate(cells)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    far = page.evaluate(
        "[...document.querySelectorAll('main table')].filter((x) => x.getClientRects().length)"
        ".map((x) => Math.ceil(x.getBoundingClientRect().right))"
    )
    assert len(far) > 6
    assert max(far) <= SHEET
    assert page.evaluate(cells.replace("#lens", "#lens.printed")) == before
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(cells) == before
    assert page.evaluate("document.querySelectorAll('.printed, .unprinted').length") == 0
    assert page.said == []


def test_a_text_that_is_a_script_is_a_text(page: Page, report: Path) -> None:
    page.open(report, DESKTOP)
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert page.evaluate("document.title") == f"npgpt audit: {ATTACK[:60]}"
    assert page.evaluate("document.getElementById('prompt').textContent") == ATTACK


def test_a_pattern_opens_by_keyboard_and_closes(page: Page, report: Path) -> None:
    page.open(report, DESKTOP)
    page.evaluate("document.querySelector('#heads button').focus()")
    page.press("ArrowRight")
    page.press("ArrowDown")
    here = focused(page)
    assert "head 1.1" in here
    assert not page.evaluate("document.getElementById('dialog').open")
    page.press("Enter")
    assert page.evaluate("document.getElementById('dialog').open")
    assert page.evaluate("document.getElementById('dialog-title').textContent") == "head 1.1"
    before = page.evaluate("document.getElementById('readout').textContent")
    page.press("ArrowLeft")
    assert page.evaluate("document.getElementById('readout').textContent") != before
    page.press("Escape")
    assert not page.evaluate("document.getElementById('dialog').open")
    assert focused(page) == here


def test_tokens_and_lens_are_walked_by_arrows(page: Page, report: Path) -> None:
    page.open(report, DESKTOP)
    page.evaluate("document.querySelector('#tokens button').focus()")
    page.press("ArrowRight")
    assert "nats" in focused(page)
    assert page.evaluate("document.querySelectorAll('#tokens [aria-pressed=true]').length") == 1
    assert page.evaluate("document.getElementById('target').value") == "0"
    assert "nats" in page.evaluate("document.getElementById('token-detail').textContent")
    page.evaluate("document.querySelector('#lens tbody td').focus()")
    page.press("ArrowDown")
    told = page.evaluate("document.getElementById('lens-detail').textContent")
    assert told.startswith("resid_pre 1, before block 1, having read")


def test_tab_reaches_every_part_in_few_steps_and_the_focus_is_seen(
    page: Page, report: Path
) -> None:
    page.open(report, DESKTOP)
    places, outlines = [], set()
    for _ in range(45):
        page.press("Tab")
        part = "document.activeElement.closest('section, nav')"
        places.append(page.evaluate(f"{part} && {part}.getAttribute('aria-labelledby')"))
        if places[-1]:
            style = "getComputedStyle(document.activeElement)"
            outlines.add(page.evaluate(f"{style}.outlineStyle + {style}.outlineWidth"))
    parts = ("surprisal", "lens", "attention", "attribution", "decisions", "verification")
    assert {f"h-{part}" for part in parts} <= set(places)
    assert outlines == {"solid2px"}


def test_patterns_are_drawn_as_they_are(page: Page, report: Path) -> None:
    page.open(report, DESKTOP)
    _, facts, of = audited(ATTACK)
    n = len(facts["tokens"])
    drawn = page.evaluate(
        "[...document.querySelectorAll('#heads canvas')].map((c) => "
        f"[...c.getContext('2d').getImageData(0, 0, {n}, {n}).data].filter((_, i) => i % 4 === 3))"
    )
    patterns = [of.trace["pattern", layer][0] for layer in range(of.config.n_layer)]
    expected = [
        [round(255 * float(p) ** 0.5) for p in head.ravel()]
        for pattern in patterns
        for head in pattern
    ]
    assert drawn == expected


def test_the_last_positions_of_a_long_text_are_called_by_their_number(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_page, "MOST_CELLS", 3 * 4)  # two layers and the end, four positions
    text, facts, of = audited("Zounds, Kate")
    path = tmp_path / "report.html"
    path.write_text(text, encoding="utf-8")
    page.open(path, DESKTOP)
    n = len(facts["tokens"])
    assert n > 5
    cuts = page.evaluate("[...document.querySelectorAll('.cut')].map((p) => p.innerText)")
    assert len(cuts) == 2
    assert all(cut.startswith(f"Shown for the last 4 of {n} positions") for cut in cuts)
    read = page.evaluate("[...document.querySelectorAll('#lens thead th')].map((x) => x.innerText)")
    marked = [token["text"].replace(" ", "\u2423") for token in facts["tokens"]]
    assert read[1:] == marked[-4:]
    page.evaluate("enlarge(1, 0)")
    page.press("ArrowUp")
    page.press("ArrowLeft")
    told = page.evaluate("document.getElementById('readout').innerText")
    weight = float(of.trace["pattern", 1][0, 0, n - 2, n - 2])
    assert f"(position {n - 2}) looks at {marked[-2]} ({n - 2}): " in told
    shown = float(told.partition("): ")[2].split()[0])
    assert abs(shown - weight) <= 1 / 255 + 1 / 2000  # the step of the root, and three digits


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_is_readable(page: Page, report: Path, dark: bool) -> None:
    page.open(report, DESKTOP, dark=dark)
    page.evaluate("document.querySelector('details').open = true")
    texts: list[Any] = page.evaluate(COLOURS)
    page.evaluate("enlarge(1, 1)")
    texts += page.evaluate(COLOURS)
    assert len(texts) > 500
    poor = [text for text in texts if contrast(*text[1:]) < READABLE]
    assert poor == []
