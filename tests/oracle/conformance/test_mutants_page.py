"""The page of known bugs is what the command writes, and each check there sees its bug."""

from pathlib import Path

import pytest

from oracle.adapters import pytorch
from oracle.conformance import _power as power
from oracle.conformance._catalogue import CHECKS, named
from oracle.conformance._check import MISMATCH
from oracle.conformance._evidence import family
from oracle.conformance._explore import collect
from oracle.conformance._mutants_page import page, seen_of
from oracle.conformance._outcome import look
from oracle.mutants._catalogue import MUTANTS
from oracle.mutants._catalogue import named as mutant_named

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "mutants.md").read_text(encoding="utf-8")
# A few, cheap ones; `python -m oracle power` puts every check before every mutant.
SAMPLE = ("gelu-erf", "layernorm-bessel", "perplexity-base-2", "top-p-drops-crossing")


def test_the_page_is_up_to_date() -> None:
    assert page(seen_of(PAGE)) == PAGE


def test_every_mutant_is_on_it_with_a_check_of_its_family() -> None:
    seen = seen_of(PAGE)
    assert list(seen) == [mutant.id for mutant in _in_order_of_areas()]
    checks = {check.name: check for check in CHECKS}
    for mutant in MUTANTS:
        assert family(checks[seen[mutant.id]].area) == family(mutant.area), mutant.id


@pytest.mark.parametrize("id", [id for id in SAMPLE if id in {m.id for m in MUTANTS}])
def test_the_check_that_it_names_sees_it(id: str) -> None:
    (check,) = named(seen_of(PAGE)[id])
    examples = collect(check.examples(pytorch.subject(dtype="float32")), check.count)
    subject = power.mutated(mutant_named(id), "float32")
    verdicts = (look(check, subject, example).finding.verdict for example in examples)
    assert MISMATCH in verdicts


def test_it_says_of_each_what_its_user_sees_and_how_bad_that_is() -> None:
    rows = {line.split("|")[1].strip(" `"): line for line in PAGE.splitlines() if "| `" in line}
    for mutant in MUTANTS:
        assert f"| {mutant.severity} |" in rows[mutant.id], mutant.id


def test_a_source_is_a_link_to_a_thread_a_commit_or_a_file() -> None:
    assert "https://github.com/karpathy/nanoGPT/issues/274)" in PAGE
    assert "https://github.com/huggingface/transformers.js/commit/9eec801a)" in PAGE
    assert "https://github.com/karpathy/llm.c/blob/HEAD/train_gpt2.c)" in PAGE


def test_what_a_larger_example_sees_first_has_its_size() -> None:
    (check,) = named("ops/gelu_new-wide")
    assert f"| `{check.name}`, {check.size} |" in page({"gelu-erf": check.name})
    assert seen_of(page({"gelu-erf": check.name})) == {"gelu-erf": check.name}


def _in_order_of_areas() -> list[object]:
    areas = list(dict.fromkeys(mutant.area for mutant in MUTANTS))
    return [mutant for area in areas for mutant in MUTANTS if mutant.area == area]
