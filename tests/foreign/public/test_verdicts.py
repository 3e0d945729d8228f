"""What the judge finds of public GPT-2s, where there are checkouts of them."""

import importlib
import os

import pytest

from oracle.adapters.guard import guarded
from oracle.adapters.subject import as_subject
from oracle.conformance._catalogue import checks_at
from oracle.conformance._judge import judge
from oracle.conformance._outcome import RIGHT, WRONG


@pytest.mark.parametrize(
    ("name", "attribute", "verdict", "bug"),
    [
        ("picogpt", "subject", RIGHT, None),
        ("nanogpt", "subject", WRONG, "gelu-erf"),
        ("nanogpt", "as_trained_by_itself", RIGHT, None),
        ("mingpt", "subject", RIGHT, None),
        ("transformers_flax", "subject", WRONG, "scale-flags-ignored"),
        ("transformers_flax", "as_computed", RIGHT, None),
    ],
)
def test_the_verdict(name: str, attribute: str, verdict: str, bug: str | None) -> None:
    if name == "transformers_flax":
        pytest.importorskip("flax")
    elif name.upper() not in os.environ:
        pytest.skip(f"{name.upper()} names no checkout of {name}")
    module = importlib.import_module(f"tests.foreign.public.{name}")
    subject = guarded(as_subject(getattr(module, attribute), name=name))
    found = judge(subject, checks_at("borders", ["model/*"]), count=10, seed=0)
    assert found.verdict == verdict
    assert (found.suspects[0].mutant.id if found.suspects else None) == bug
