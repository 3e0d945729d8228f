"""A bug is put in one part, and is found in that part through the logits alone."""

import math

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from oracle import model
from oracle.conformance._catalogue import named
from oracle.conformance._localise import depths, localise
from oracle.conformance._outcome import run
from oracle.conformance._power import mutated
from oracle.mutants._mutant import Mutant
from tests.helpers.broken_subjects import clean, only_logits

CHECKS = named("model/flags", "model/padding", "model/layers")
BLOCK, FORWARD, NORM = model._block, model.forward, model.layer_norm


def in_layer(layer, name):
    """A block whose tensor of this name is a hundredth too large in one layer."""

    def block(weights, c, i, *rest):
        if i == layer:
            weights = {**weights, f"h.{i}.{name}": weights[f"h.{i}.{name}"] * 1.01}
        return BLOCK(weights, c, i, *rest)

    return {"oracle.model._block": block}


def bessel(x, weight, bias, *, eps):
    n = x.shape[-1]
    return (NORM(x, weight, bias, eps=eps) - bias) * math.sqrt(max(n - 1, 1) / n) + bias


PARTS = [
    ("mlp.c_proj.bias", "MLP output bias"),
    ("mlp.c_proj.weight", "activation function, or MLP output projection"),
    ("mlp.c_fc.weight", "MLP input projection"),
    ("ln_2.weight", "layer norm before the MLP"),
    ("attn.c_proj.bias", "attention output bias"),
    ("attn.c_proj.weight", "attention output projection, or attention to one key"),
    ("ln_1.weight", "layer norm before attention"),
]


def divergence(replaces):
    subject = only_logits(mutated(Mutant("x", "x", "", "model", replaces), "float32"))
    outcomes = [run(check, subject, count=40, shrink=False) for check in CHECKS]
    failing = [outcome.worst.example for outcome in outcomes if outcome.worst]
    assert failing
    return localise(subject, failing, dtype="float32"), subject, failing


@pytest.mark.parametrize(("name", "component"), PARTS)
def test_a_tensor_that_is_off_is_found_in_its_part(name, component):
    found, _, _ = divergence(in_layer(0, name))
    assert (found.component, found.layer) == (component, 0)
    assert found.error > 1
    assert "rounding may move it" in found.says


@pytest.mark.parametrize("layer", [1, 2, 9])
def test_what_is_wrong_in_one_layer_is_found_in_that_layer(layer):
    found, _, _ = divergence(in_layer(layer, "mlp.c_fc.bias"))
    assert (found.component, found.layer) == ("a later layer", layer)


@pytest.mark.parametrize(
    ("replaces", "component", "position"),
    [
        ({"oracle.model.layer_norm": bessel}, "final layer norm", 0),
        (
            {"oracle.model._scale": lambda c, i: 1 / math.sqrt(c["n_embd"] + 1)},
            "attention scores",
            1,
        ),
        (
            {"oracle.model.causal_mask": lambda q, k, device=None: torch.ones(q, k).bool()},
            "causal mask",
            0,
        ),
        (
            {"oracle.model.ACTIVATIONS": dict.fromkeys(model.ACTIVATIONS, F.softplus)},
            "activation function, or MLP output projection",
            0,
        ),
    ],
    ids=["bessel", "scale", "causal", "activation"],
)
def test_the_first_wrong_part_and_position(replaces, component, position):
    found, _, _ = divergence(replaces)
    assert (found.component, found.position) == (component, position)


def test_what_only_padding_shows_is_said_to_be_padding():
    def forward(weights, config, tokens, *, mask=None, **rest):
        return FORWARD(weights, config, tokens, mask=torch.ones_like(mask), **rest)

    found, _, _ = divergence({"oracle.model.forward": forward})
    assert (found.component, found.layer) == ("padding, or several rows", None)


def test_a_right_subject_diverges_nowhere():
    subject = clean()
    outcome = run(CHECKS[0], subject, count=5)
    examples = [seen.example for seen in outcome.seen]
    assert localise(subject, examples, dtype="float32") is None


def test_the_error_grows_where_the_bug_is():
    _, subject, failing = divergence(in_layer(2, "mlp.c_fc.bias"))
    deepest = max(failing, key=lambda example: example.config["n_layer"])
    errors = depths(subject, deepest, dtype="float32")
    assert len(errors) == deepest.config["n_layer"] + 1 >= 4
    wrong = [error > allowed for error, allowed in errors]
    assert wrong[:4] == [False, False, False, True]
