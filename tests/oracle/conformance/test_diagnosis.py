"""Names of bugs: the best explanation of what is wrong, told with what it leaves unexplained."""

from dataclasses import replace

import numpy as np
import pytest

from oracle.adapters import pytorch
from oracle.adapters.guard import guarded
from oracle.conformance._catalogue import checks_at
from oracle.conformance._diagnosis import Suspect, diagnoses
from oracle.conformance._judge import judgement_of
from oracle.conformance._outcome import run
from oracle.conformance._power import mutated
from oracle.conformance._table import as_data, summary
from oracle.mutants._catalogue import MUTANTS, named
from tests.foreign.gpt2_plain import Net

LOGITS = ("model/logits", "model/flags", "model/padding", "model/weights")


def diagnosed(subject, *names, count=20):
    checks = [check for check in checks_at("toy", names) if not check.refusals]
    outcomes = [run(check, subject, count=count, shrink=False) for check in checks]
    return diagnoses(outcomes, subject.dtype, MUTANTS, subject=subject)


def first_name(subject, *names, count=20):
    (found,) = diagnosed(subject, *names, count=count)
    return found.named[0].mutant.id if found.named else None


def plain(bug):
    """The foreign NumPy model with one of its bugs, through its logits alone."""

    def logits(config, weights, tokens, mask):
        return Net(config, weights, bug).scores(tokens, mask)

    return guarded(replace(pytorch.subject(), **NOTHING, name="plain", logits=logits))


NOTHING = dict.fromkeys(
    ("step", "process", "generate", "draw", "encode", "decode", "perplexity")
) | {"ops": {}, "decoders": (), "settings": ()}


@pytest.mark.parametrize(
    "bug", ["layernorm-bessel", "layernorm-eps-outside", "layernorm-eps-zero", "gelu-sigmoid"]
)
def test_numeric_bugs_of_a_foreign_model_are_named_through_its_logits(bug):
    assert first_name(plain(bug), *LOGITS) == bug


@pytest.mark.parametrize("count", [10, 20])
def test_a_name_does_not_depend_on_how_many_examples_ran(count):
    assert first_name(plain("gelu-erf"), *LOGITS, count=count) == "gelu-erf"


def test_a_maximum_that_starts_at_minus_ten_thousand_is_named_as_llm_c_has_it():
    bug = "softmax-max-from-minus-1e4"
    assert first_name(plain(bug), "model/logits", "model/scores") == bug
    assert named(bug).source == "karpathy/llm.c:train_gpt2.c"


@pytest.mark.parametrize("bug", ["layernorm-one-pass", "layernorm-eps-outside"])
def test_bugs_of_layer_norm_are_named_when_it_is_offered_as_an_op(bug):
    def one_pass(x, weight, bias, *, eps):
        x = x.astype(np.float32)
        mean = x.mean(-1, keepdims=True)
        variance = (x * x).mean(-1, keepdims=True) - mean * mean
        return (x - mean) / np.sqrt(variance + np.float32(eps)) * weight + bias

    def eps_outside(x, weight, bias, *, eps):
        x = x.astype(np.float32)
        off = x - x.mean(-1, keepdims=True)
        return (
            off / (np.sqrt((off * off).mean(-1, keepdims=True)) + np.float32(eps)) * weight + bias
        )

    def quietly(function):
        def run_(*arrays, **options):
            with np.errstate(all="ignore"):
                return function(*arrays, **options)

        return run_

    op = {"layernorm-one-pass": one_pass, "layernorm-eps-outside": eps_outside}[bug]
    subject = replace(pytorch.subject(), **NOTHING | {"ops": {"layer_norm": quietly(op)}})
    assert first_name(guarded(subject), "ops/layer_norm", count=100) == bug


@pytest.mark.parametrize(
    "bug", ["cache-first-dropped", "cache-position-late", "cache-mask-rows", "cache-past-masked"]
)
def test_bugs_of_the_cache_have_their_own_names_first(bug):
    assert first_name(mutated(named(bug), "float32"), "cache/*") == bug


def test_a_bug_that_draws_at_random_is_named_for_no_subject_that_does_not():
    for found in diagnosed(plain("layernorm-square"), *LOGITS):
        assert "dropout-in-eval" not in [s.mutant.id for s in found.suspects]


def test_that_no_name_fits_is_said_for_each_family():
    def logits(config, weights, tokens, mask):
        right = pytorch.subject().logits(config, weights, tokens, mask)
        return right + np.float32(0.37) * np.cos(37 * right)

    subject = guarded(replace(pytorch.subject(), **NOTHING, logits=logits))
    (check,) = checks_at("toy", ["model/logits"])
    judgement = judgement_of(subject, [run(check, subject, count=10, shrink=False)])
    (found,) = judgement.diagnoses
    assert (found.family, found.named) == ("model", ())
    assert f"model: none of the {found.tried} known bugs tried reproduces it" in summary(judgement)
    assert as_data(judgement)["families"] == [
        {"name": "model", "failing": found.failing, "tried": found.tried, "named": []}
    ]


def test_distances_and_shares_are_data():
    subject = guarded(plain("layernorm-bessel"))
    (check,) = checks_at("toy", ["model/logits"])
    first = as_data(judgement_of(subject, [run(check, subject, count=15, shrink=False)]))
    suspect = first["suspects"][0]
    assert suspect["id"] == "layernorm-bessel"
    assert suspect["reproduces"]
    assert suspect["explained"] == suspect["failing"] > 0
    assert suspect["distance"] <= 1
    assert suspect["share"] == 1


def test_one_example_that_a_mutant_gets_wrong_is_no_veto():
    """A GELU that is wrong under one name of two: the bug's other branch contradicts it."""
    subject = replace(plain("gelu-sigmoid"))
    (found,) = diagnosed(subject, "model/flags", count=40)
    assert found.suspects[0].mutant.id == "gelu-sigmoid"
    assert found.suspects[0].explained == found.suspects[0].failing


@pytest.mark.parametrize(
    ("explained", "failing", "contradicted", "reproduces"),
    [(20, 20, 0, True), (20, 20, 2, True), (17, 20, 0, False), (20, 20, 5, False)],
)
def test_a_subject_behaves_like_a_mutant_that_explains_nine_in_ten(
    explained, failing, contradicted, reproduces
):
    suspect = Suspect(named("gelu-erf"), 0.5, explained, failing, contradicted, 20)
    assert suspect.reproduces is reproduces
    assert suspect.share == explained / (failing + contradicted)
    assert not Suspect(named("gelu-erf"), 2.0).reproduces
