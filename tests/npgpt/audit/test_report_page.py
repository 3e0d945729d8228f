"""The page of an audit as a file: one, whole, safe, and with the numbers in it."""

import base64
import json
import re
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npgpt.audit.report import _page as page
from tests.helpers.audits import audited
from tests.helpers.contrast import READABLE, SEEN, contrast, mix

PROMPT = "Shall I compare"
TEMPLATE = Path(page.__file__).with_name("page.html").read_text(encoding="utf-8")
ATTACKS = [
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "DATA_OF_THE_AUDIT",
    "\"'&lt;\\u003c]]>\u2028\x00",
]


class Parsed(HTMLParser):
    """The elements in order, their attributes, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script":
            self.scripts[-1] += data


def read(text: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Parsed(text).scripts[0])
    return data


def colours() -> list[dict[str, str]]:
    """The colours of the light scheme and of the dark one."""
    blocks = re.findall(r":root \{(.*?)\}", TEMPLATE, re.S)
    schemes = [dict(re.findall(r"--(\w+): (#\w{6});", block)) for block in blocks]
    assert [len(scheme) for scheme in schemes] == [10, 10]
    return schemes


@pytest.mark.parametrize("prompt", [PROMPT, *ATTACKS])
def test_the_data_is_what_was_gathered_and_the_page_stays_as_it_is(prompt: str) -> None:
    text, facts, _ = audited(prompt)
    data = read(text)
    assert data["prompt"] == prompt
    assert [token["text"] for token in data["tokens"]] == [t["text"] for t in facts["tokens"]]
    assert Parsed(text).elements == Parsed(TEMPLATE).elements
    assert Parsed(text).scripts[1:] == Parsed(TEMPLATE).scripts[1:]


def test_nothing_of_it_is_anywhere_else() -> None:
    text = audited(PROMPT)[0]
    assert not re.search(r"https?:|//[a-z]|@import|@font-face|url\(|\bfetch\(|\bimport\(", text)
    asking = {"src", "srcset", "data", "action", "poster"}
    for tag, attributes in Parsed(text).elements:
        assert tag not in {"link", "iframe", "object", "embed", "img", "base"}
        assert not asking & attributes.keys()
        assert (attributes.get("href") or "#").startswith("#")


def test_numbers_are_rounded_to_five_digits_and_what_is_not_finite_is_null() -> None:
    text, facts, _ = audited(PROMPT)
    for written, token in zip(read(text)["tokens"][1:], facts["tokens"][1:], strict=True):
        assert written["nats"] == float(f"{token['nats']:.5g}")
    assert page.embedded([float("nan"), float("inf"), -0.5]) == "[null,null,-0.5]"


def test_a_pattern_is_kept_within_half_a_step_of_its_root() -> None:
    text, _, of = audited(PROMPT)
    for layer, heads in enumerate(read(text)["patterns"]):
        pattern = of.trace["pattern", layer][0].astype(np.float64)
        lower = np.tri(pattern.shape[-1], dtype=bool)
        for weights, head in zip(pattern, heads, strict=True):
            steps = np.frombuffer(base64.b64decode(head), np.uint8) / 255
            # (s + e)² − s² with e half a step, and two roundings of float32 in the root
            root = np.sqrt(weights[lower])
            e = 1 / 510 + 2 * np.finfo(np.float32).eps
            assert (np.abs(steps**2 - root**2) <= 2 * root * e + e * e).all()


def test_a_long_text_is_drawn_from_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(audited(PROMPT)[0])
    monkeypatch.setattr(page, "MOST_WEIGHTS", 4 * (3 * 4 // 2))
    cut = read(audited(PROMPT)[0])
    assert (whole["shown"], cut["shown"]) == (len(whole["tokens"]), 3)
    assert cut["tokens"] == whole["tokens"]
    assert [len(row["positions"]) for row in cut["logit_lens"]] == [3, 3, 3]
    assert cut["logit_lens"][0]["positions"] == whole["logit_lens"][0]["positions"][-3:]
    assert {len(base64.b64decode(head)) for heads in cut["patterns"] for head in heads} == {6}


def test_no_page_is_larger_than_is_said() -> None:
    for layers, heads in product((0, 1, 6, 48), (1, 12, 25)):
        n = page.window(10**6, layers, heads)
        assert n * (layers + 1) <= page.MOST_CELLS
        assert layers * heads * n * (n + 1) // 2 <= page.MOST_WEIGHTS


@pytest.mark.parametrize("scheme", colours(), ids=["light", "dark"])
def test_colours_that_meet_are_told_apart(scheme: dict[str, str]) -> None:
    paper = scheme["paper"]
    neutral = mix(scheme["rule"], 0.45, paper)
    for text in ("ink", "faint", "link", "good", "bad"):
        assert contrast(scheme[text], paper) >= READABLE, text
    for ground in (scheme["warm"], scheme["cool"], neutral):
        assert contrast(scheme["ink"], ground) >= READABLE, ground
    assert contrast(scheme["faint"], neutral) >= READABLE
    blue = re.search(r"BLUE = \[(.*?)\]", TEMPLATE)
    assert blue is not None
    for mark in (scheme["link"], scheme["edge"], f"rgb({blue[1]})"):
        assert contrast(mark, paper) >= SEEN, mark


def test_it_is_marked_up_for_those_who_do_not_see_it() -> None:
    elements = Parsed(TEMPLATE).elements
    assert ("html", {"lang": "en"}) in elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in elements:
        if tag in ("section", "dialog", "table"):
            named = attributes.get("aria-labelledby", attributes.get("id"))
            assert named in ids
