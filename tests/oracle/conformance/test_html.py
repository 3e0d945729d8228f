"""The page says what was found, in HTML that needs nothing else and breaks on nothing."""

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest

from oracle.adapters import pytorch
from oracle.adapters.claims import Claims
from oracle.adapters.guard import guarded
from oracle.conformance import _plots as plots
from oracle.conformance._catalogue import named as checks
from oracle.conformance._check import TIE, Finding
from oracle.conformance._diagnosis import Diagnosis, Suspect
from oracle.conformance._html import TEMPLATE, page
from oracle.conformance._judge import Judgement, about
from oracle.conformance._localise import depths, localise
from oracle.conformance._outcome import UNDECIDED, Outcome, Seen, run
from oracle.conformance._power import mutated
from oracle.mutants._catalogue import named

pytest.importorskip("matplotlib", reason="the plots of a report need matplotlib")

VOID = {"meta", "br", "hr", "img", "link", "input"}
SCRIPT = "<script>alert(1)</script>"
CONDITIONS = about() | {"seconds": 1.5}


class Reader(HTMLParser):
    """Reads a page strictly: each tag that opens closes in its turn. texts: by the tag around."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts, self.ids = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] != "style":
            self.texts.append(text)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def judged(subject, *names, count=5):
    outcomes = [run(check, subject, count=count, shrink=False) for check in checks(*names)]
    return Judgement(subject, tuple(outcomes), about=CONDITIONS)


SUSPECTS = (Suspect(named("gelu-erf"), 0.25), Suspect(named("wpe-missing"), 50.0))


def judged_wrong():
    """With all that a wrong judgement may have."""
    subject = mutated(named("gelu-erf"), "float32")
    found = judged(subject, "model/logits", "ops/relu", "ops/gelu_new", "perplexity/*", count=30)
    (failing,) = [o.worst.example for o in found.outcomes if o.check.name == "model/logits"]
    return replace(
        found,
        divergences=(localise(subject, [failing], dtype="float32"),),
        by_depth=tuple(depths(subject, failing, dtype="float32")),
        suspects=SUSPECTS,
        diagnoses=(Diagnosis("model", 1, 2, SUSPECTS),),
    )


def judged_undecided():
    (check,) = checks("ops/relu")
    seen = Seen("an example", np.zeros(1), Finding(TIE, 0.0, "honest rounding overflows"))
    outcome = Outcome(check, UNDECIDED, (seen, seen))
    return Judgement(guarded(pytorch.subject()), (outcome,), about=CONDITIONS)


@pytest.fixture(scope="module")
def wrong():
    return judged_wrong()


JUDGEMENTS = {
    "right": lambda: judged(guarded(pytorch.subject()), "ops/relu", "model/flags", "ops/gelu"),
    "wrong": judged_wrong,
    "undecided": judged_undecided,
    "not offered": lambda: Judgement(guarded(pytorch.subject()), (), about=CONDITIONS),
}


@pytest.mark.parametrize("verdict", JUDGEMENTS)
def test_each_verdict_has_a_page_that_stands_alone(verdict):
    text = page(JUDGEMENTS[verdict]())
    reader = Reader(text)
    assert f" {verdict} " in reader.text
    loads = [(tag, name, value) for tag, name, value in reader.attributes if name in LOADING]
    links = {value for tag, name, value in loads if (tag, name) == ("a", "href")}
    rest = {value for tag, name, value in loads if (tag, name) != ("a", "href")}
    assert all(link.startswith("https://github.com/") for link in links)
    assert all(value.startswith("#") for value in rest)  # an SVG's reference to a part of itself
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(reader.tags)
    assert not re.search(r"@import|url\((?!#)", text)
    assert len(reader.ids) == len(set(reader.ids))


LOADING = ("src", "href", "xlink:href", "srcset", "data", "action", "poster", "background")


def test_the_page_of_a_wrong_subject_says_all_that_is_known(wrong):
    reader = Reader(page(wrong))
    for says in (
        "activation function, or MLP output projection",
        wrong.divergence.says,
        "GPT-2 as it was released, tiny: logits of unpadded rows",
        "gelu-erf : exact erf GELU",
        "karpathy/nanoGPT#274",
        "within 0.25 of what rounding may do",
        "perplexity",
        'python -m oracle judge SUBJECT --only "ops/gelu_new" --save failures',
        f"torch {CONDITIONS['versions']['torch']}",
        "1.5 s",
        "float32",
    ):
        assert " ".join(says.split()) in reader.text
    hrefs = [value for tag, name, value in reader.attributes if (tag, name) == ("a", "href")]
    assert hrefs == ["https://github.com/karpathy/nanoGPT/issues/274"]
    assert "wpe-missing" not in reader.text
    assert reader.tags.count("svg") == 2
    assert "build_weights(" in reader.text  # the example, to be made again


def test_what_was_read_of_the_part_is_shown(wrong):
    assert "at x = -1 it gives <b>" in Reader(page(wrong, lines=["at x = -1 it gives <b>"])).text
    assert "Read through its logits" not in page(wrong)


def test_text_stands_out_from_what_is_behind_it():
    """WCAG 2.1 AA asks for a contrast of 4.5, in light, in dark and in print."""
    template = files("oracle.conformance").joinpath(TEMPLATE).read_text(encoding="utf-8")
    schemes = [dict(re.findall(r"--(\w+): (#\w{6})", css)) for css in template.split(":root")[1:]]
    assert len(schemes) == 3
    for colours in schemes:
        for name in ("ink", "soft", "good", "bad", "open", "link"):
            assert contrast(colours[name], colours["paper"]) >= 4.5
        assert contrast(colours["ink"], colours["panel"]) >= 4.5


def contrast(one, other):
    dark, light = sorted(luminance(colour) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_that_no_known_bug_fits_is_said(wrong):
    unnamed = Diagnosis("model", 1, 1, SUSPECTS[1:])
    text = Reader(page(replace(wrong, suspects=SUSPECTS[1:], diagnoses=(unnamed,)))).text
    assert "None of the 1 known bugs tried reproduces it." in text


@pytest.mark.parametrize(
    ("cuda", "says"), [(None, "nothing was checked on CUDA"), ("Some GPU", "Some GPU")]
)
def test_the_device_is_said(cuda, says):
    judgement = replace(judged_undecided(), about=CONDITIONS | {"cuda": cuda})
    assert says in Reader(page(judgement)).text


def test_nothing_of_a_subject_is_taken_for_html(wrong):
    outcomes = [
        replace(o, worst=o.worst and replace(o.worst, example=SCRIPT)) for o in wrong.outcomes
    ]
    outcomes += judged_undecided().outcomes
    outcomes[-1] = replace(
        outcomes[-1], seen=(Seen(SCRIPT, SCRIPT, Finding(TIE, 0.0, f'" {SCRIPT} &amp;')),)
    )
    reader = Reader(
        page(
            replace(
                wrong,
                subject=replace(wrong.subject, name=SCRIPT),
                outcomes=tuple(outcomes),
                divergences=(replace(wrong.divergence, says=SCRIPT, component=SCRIPT),),
            )
        )
    )
    assert "script" not in reader.tags
    assert reader.text.count(SCRIPT) >= 6
    assert f'" {SCRIPT} &amp;' in reader.text


def test_the_same_judgement_gives_the_same_page(wrong):
    assert page(wrong) == page(wrong)


@pytest.mark.parametrize("errors", [(np.inf, np.inf), (0.0, np.inf), (1e-3, 0.0), (1e-3,)])
def test_errors_that_a_logarithm_has_none_of_are_drawn(errors):
    points = [(error, 1e-6) for error in errors]
    Reader(plots.by_depth(points))
    Reader(plots.margins([(f"a/{i}", error) for i, error in enumerate(errors)]))


def test_the_page_says_sizes_seed_strictness_claims_and_known_failures():
    subject = replace(pytorch.subject(), claims=Claims(epsilons=[1e-5]))
    known = {"ops/relu": "once <b>", "model/flags": "never asked"}
    judgement = replace(
        judged(guarded(subject), "ops/relu", count=3), seed=7, known_failures=known, strict=True
    )
    text = Reader(page(judgement)).text
    for says in (
        "right in all that it claims, which leaves out epsilons but 1e-05",
        "ops/relu : once <b>. It is right all the same: take its line out.",
        "model/flags : never asked. It was not asked.",
        "sizes toy",
        "seed 7",
        "lax ones are wrong (--strict)",
    ):
        assert says in text


def test_it_says_by_which_seed_it_is_seen_again(wrong):
    assert "--seed 12 --save failures" in Reader(page(replace(wrong, seed=12))).text


def test_plots_of_nothing_are_nothing():
    assert plots.by_depth([]) == plots.by_depth([(0.0, 0.0)]) == ""
    assert plots.margins([]) == ""


def test_a_plot_leaves_no_trace_in_matplotlib(wrong):
    import matplotlib

    before = dict(matplotlib.rcParams)
    page(wrong)
    assert dict(matplotlib.rcParams) == before


def test_without_matplotlib_one_line_says_what_to_install(wrong, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(plots.NoPlots, match=r"pip install matplotlib") as caught:
        page(wrong)
    assert "\n" not in str(caught.value)
