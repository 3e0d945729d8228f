"""Who does less than all is judged in what they do: a bug there is seen, and found in its place."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from oracle import model
from oracle.adapters import pytorch
from oracle.adapters.claims import Claims
from oracle.adapters.guard import guarded
from oracle.adapters.subject import Subject
from oracle.conformance._catalogue import named
from oracle.conformance._judge import judge
from oracle.conformance._localise import localise, localise_all
from oracle.conformance._model_examples import RELEASED
from oracle.conformance._outcome import NOT_OFFERED, RIGHT, WRONG, run
from oracle.conformance._power import mutated
from oracle.conformance._readings import lines
from oracle.conformance._table import as_data, summary
from oracle.mutants._mutant import Mutant
from tests.helpers.broken_subjects import changed

# As llm.c's forward pass, with a context of 32 where it has 1024.
LLM_C = Claims(
    activation_functions=["gelu_new"],
    flags=[],
    epsilons=[1e-5],
    heads=["tied"],
    padding="none",
    mask=False,
    max_batch=1,
    n_positions=32,
    vocab_multiple_of=64,
    min_n_layer=1,
)
LOGITS = named("model/*")
ATTENTION, BLOCK, NORM = model.attention, model._block, model.layer_norm


def within_llm_c(config, weights, tokens, mask):
    """Whether a call is one that llm.c takes."""
    return (
        config == LLM_C.nearest(config) and mask is None and len(tokens) == 1 and tokens.size <= 32
    )


def with_bug(replaces, area="model"):
    return mutated(Mutant("x", "x", "", area, replaces), "float32")


def narrow(replaces, *, claims=LLM_C):
    """A model with a bug that fails an assertion for all that it does not claim."""
    inner = with_bug(replaces).logits

    def logits(config, weights, tokens, mask):
        assert within_llm_c(config, weights, tokens, mask), (config, tokens, mask)
        return inner(config, weights, tokens, np.ones(tokens.shape, bool))

    return guarded(Subject("narrow", logits=logits, claims=claims))


def released_alone(function):
    """It refuses what the four released models do not have."""

    def answering(config, *rest):
        for name, value in RELEASED.items():
            if config[name] != value:
                raise NotImplementedError(f"{name} {config[name]!r}")
        return function(config, *rest)

    return answering


def refusing(replaces):
    """A model with a bug that claims nothing, and refuses as a public GPT-2 does."""
    inner = released_alone(with_bug(replaces).logits)

    def logits(config, weights, tokens, mask):
        if not mask.all() or not config["n_layer"]:
            raise NotImplementedError("padding, or no layers")
        return inner(config, weights, tokens, mask)

    return guarded(Subject("refusing", logits=logits))


def test_who_claims_as_much_as_llm_c_is_never_asked_for_more():
    judgement = judge(narrow({}), LOGITS, count=10, seed=0)
    verdicts = {outcome.check.name: outcome.verdict for outcome in judgement.outcomes}
    for padded in ("model/padding", "model/long padding"):
        assert verdicts.pop(padded) == NOT_OFFERED
    assert set(verdicts.values()) <= {RIGHT, "strict"}, verdicts
    text = summary(judgement)
    assert "narrow, float32: RIGHT in all that it claims, which leaves out activation" in text
    assert "untied heads; padding; a mask; batches of more than 1; n_positions but 32" in text
    assert "not offered" not in text.replace("checks not offered", "").replace("check not", "")
    assert as_data(judgement)["claims"]["vocab_multiple_of"] == 64


def first_failing(subject):
    """The first example of the first check that fails."""
    for check in CHECKS:
        if worst := run(check, subject, count=20, shrink=False).worst:
            return [worst.example]
    raise AssertionError("no check sees it")


def in_first_layer(name):
    def block(weights, c, i, *rest):
        if i == 0:
            weights = {**weights, f"h.{i}.{name}": weights[f"h.{i}.{name}"] * 1.01}
        return BLOCK(weights, c, i, *rest)

    return {"oracle.model._block": block}


def bessel(x, weight, bias, *, eps):
    n = x.shape[-1]
    return (NORM(x, weight, bias, eps=eps) - bias) * math.sqrt(max(n - 1, 1) / n) + bias


def masked_with_a_number(q, k, v, *, mask, scale, **rest):
    """The running maximum starts at -10000, as llm.c's does."""
    scores = (q @ k.mT * scale).masked_fill(~mask, -math.inf)
    top = scores.amax(-1, keepdim=True).clamp(min=-10000.0)
    parts = torch.exp(scores - top)
    total = parts.sum(-1, keepdim=True)
    return torch.where(total == 0, torch.zeros(()), parts / total) @ v


ERF = {"oracle.model.ACTIVATIONS": dict.fromkeys(model.ACTIVATIONS, F.gelu)}
PLACES = [
    (in_first_layer("mlp.c_proj.bias"), "MLP output bias"),
    (ERF, "activation function, or MLP output projection"),
    (in_first_layer("mlp.c_fc.weight"), "MLP input projection"),
    (in_first_layer("ln_2.weight"), "layer norm before the MLP"),
    (in_first_layer("attn.c_proj.bias"), "attention output bias"),
    (in_first_layer("ln_1.weight"), "layer norm before attention"),
    ({"oracle.model._scale": lambda c, i: 1 / math.sqrt(c["n_embd"] + 1)}, "attention scores"),
    ({"oracle.model.attention": masked_with_a_number}, "attention scores"),
    (
        {"oracle.model.causal_mask": lambda q, k, device=None: torch.ones(q, k).bool()},
        "causal mask",
    ),
    ({"oracle.model.layer_norm": bessel}, "final layer norm"),
    (
        {"oracle.model.layer_norm": lambda *t, eps: NORM(*t, eps=1e-6)},
        "final layer norm's epsilon, or the size of the token embedding",
    ),
]


@pytest.mark.parametrize("make", [narrow, refusing])
@pytest.mark.parametrize(("replaces", "component"), PLACES, ids=lambda value: str(value)[:30])
def test_the_place_is_found_within_what_is_claimed(make, replaces, component):
    subject = make(replaces)
    failing = first_failing(subject)
    place = localise(subject, failing, dtype="float32").component
    assert place.removesuffix(" of one key") == component


CHECKS = tuple(named(f"model/{name}")[0] for name in ("logits", "weights", "scores"))


def test_a_refusal_is_never_the_place_where_numbers_go_wrong():
    judgement = judge(refusing(ERF), LOGITS, count=20, seed=0)
    assert judgement.verdict == WRONG
    assert judgement.divergence.component == "activation function, or MLP output projection"
    assert "NotImplementedError" not in judgement.divergence.says
    (flags,) = (o for o in judgement.outcomes if o.check.name == "model/flags")
    assert flags.counts["refused"] > 0
    assert flags.counts["tie"] == 0


def test_an_epsilon_that_is_written_in_is_solved_for():
    """It is right in all four released models, and wrong where another epsilon is configured."""
    subject = guarded(with_bug({"oracle.model.layer_norm": lambda *t, eps: NORM(*t, eps=1e-5)}))
    (check,) = named("model/flags")
    failing = run(check, subject, count=20, shrink=False).worst.example
    divergence = localise(subject, [failing], dtype="float32")
    assert divergence.component.startswith("final layer norm's epsilon")
    told = lines(subject, divergence)
    assert any("so it computes with an epsilon of 1e-05" in line for line in told), told


def test_the_pattern_is_read_within_one_epsilon():
    replaces = {"oracle.model._scale": lambda c, i: 1 / math.sqrt(c["n_embd"] + 1)}
    for subject in (narrow(replaces), refusing(replaces)):
        failing = first_failing(subject)
        divergence = localise(subject, failing, dtype="float32")
        assert any("looks at" in line for line in lines(subject, divergence))


def no_maximum(q, k, v, *, mask, scale, **rest):
    """Softmax without its largest score taken off: exp overflows to infinity, and so to NaN."""
    parts = torch.exp((q @ k.mT * scale).masked_fill(~mask, -math.inf))
    return parts / parts.sum(-1, keepdim=True) @ v


def test_what_is_not_finite_is_not_taken_for_the_residual_stream():
    """Zero times NaN is NaN, so that a part that gives NaN does not sleep for its projection."""
    subject = guarded(with_bug({"oracle.model.attention": no_maximum}))
    (check,) = named("model/scores")
    failing = run(check, subject, count=30, shrink=False).worst.example
    (place,) = localise_all(subject, [failing], dtype="float32")
    assert place.component.startswith("attention scores")


def test_no_epsilon_at_all_is_one_place():
    subject = guarded(with_bug({"oracle.model.layer_norm": lambda *t, eps: NORM(*t, eps=0.0)}))
    failing = first_failing(subject)
    (place,) = localise_all(subject, failing, dtype="float32")
    assert place.component.startswith("final layer norm's epsilon")
    assert any("epsilon of 0" in line for line in lines(subject, place))


TWO = [
    (ERF | in_first_layer("attn.c_proj.bias"), ["activation function, or MLP", "attention output"]),
    (
        {"oracle.model.layer_norm": lambda *t, eps: NORM(*t, eps=1e-6)} | ERF,
        ["final layer norm's epsilon", "activation function, or MLP"],
    ),
    (
        in_first_layer("mlp.c_fc.weight")
        | {"oracle.model._scale": lambda c, i: 1 / math.sqrt(c["n_embd"] + 1)},
        ["MLP input projection", "attention scores"],
    ),
]


@pytest.mark.parametrize(("replaces", "components"), TWO, ids=range(len(TWO)))
def test_two_bugs_at_once_are_found_in_both_places(replaces, components):
    subject = guarded(with_bug(replaces))
    failing = first_failing(subject)
    places = [
        divergence.component for divergence in localise_all(subject, failing, dtype="float32")
    ]
    assert len(places) == len(components), places
    for place, start in zip(places, components, strict=True):
        assert place.startswith(start)


@pytest.mark.parametrize(("replaces", "component"), PLACES[:8], ids=lambda value: str(value)[:30])
def test_one_bug_is_one_place(replaces, component):
    subject = guarded(with_bug(replaces))
    failing = first_failing(subject)
    places = [
        divergence.component for divergence in localise_all(subject, failing, dtype="float32")
    ]
    assert [place.removesuffix(" of one key") for place in places] == [component]


def top_left(query, key, device=None):
    return torch.ones(query, key, dtype=torch.bool, device=device).tril()


@pytest.mark.parametrize("name", ["one by one", "in pieces"])
def test_a_cached_mask_aligned_top_left_is_wrong_whatever_else_is_refused(name):
    """A new token alone sees key 0 alone: a public nanoGPT with a cache does so."""
    subject = with_bug({"oracle.model.causal_mask": top_left}, "cache")
    (check,) = named(f"cache/{name}")
    stepping = changed(step=lambda step: released_alone(subject.step))
    assert run(check, stepping, shrink=False).verdict == WRONG


def test_who_strips_padding_is_not_judged_for_that():
    clean = pytorch.subject().logits

    def never_padded(config, weights, tokens, mask):
        assert mask.all()
        return clean(config, weights, tokens, mask)

    subject = guarded(Subject("strips", logits=never_padded, claims=Claims(padding="stripped")))
    judgement = judge(subject, LOGITS, count=5, seed=0)
    assert judgement.verdict == RIGHT
    assert "padding, which its adapter strips" in summary(judgement)
