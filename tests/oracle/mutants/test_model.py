from dataclasses import replace

import numpy as np
import pytest
import torch

from oracle import model
from oracle.bounds._compare import excess
from oracle.bounds._noise import activations, measure
from oracle.mutants._catalogue import named
from oracle.mutants._model import MUTANTS
from oracle.strategies._configs import ACTIVATIONS
from oracle.strategies._tokens import build_batch
from oracle.strategies._weights import build_weights
from tests.helpers.device import DEVICE
from tests.helpers.mutant_examples import shows, some_examples

# Bugs that are known to have happened; the catalogue may have more, never fewer.
KNOWN = {
    "gelu-erf", "gelu-sigmoid", "layernorm-eps-outside", "layernorm-eps-zero", "layernorm-bessel",
    "layernorm-square", "conv1d-transposed", "layers-file-order", "scale-flags-ignored",
    "scale-twice", "no-causal-mask", "causal-off-by-one", "mask-minus-1e4", "all-masked-row",
    "softmax-no-max", "fp16-score-overflow", "dropout-in-eval", "head-untied-on-resize",
    "missing-tensor-random", "tf32", "context-wraps", "pad-takes-position", "pad-unmasked",
    "last-token-under-left-pad",
}  # fmt: skip
CONFIG = {
    "vocab_size": 11, "n_positions": 6, "n_embd": 6, "n_layer": 2, "n_head": 2, "n_inner": None,
    "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False, "reorder_and_upcast_attn": False,
    "tie_word_embeddings": True,
}  # fmt: skip
ROW = np.array([3, 1, 4, 1, 5, 9])
# What has to be refused, and the bugs that answer it.
REFUSED = {
    "too many tokens": ("context-wraps", "context-clips", "id-outside-is-nothing"),
    "id past the vocabulary": ("id-clipped", "id-to-zero", "id-outside-is-nothing"),
    "negative id": ("id-to-zero", "id-outside-is-nothing"),
    "missing tensor": ("missing-tensor-random",),
}
ANSWERS = [(why, id) for why, ids in REFUSED.items() for id in ids]
WRONG = [mutant for mutant in MUTANTS if mutant.id not in dict(map(reversed, ANSWERS))]
RANDOM = ("dropout-in-eval",)


def ids(mutant):
    return mutant.id


def tensors(kind="trained", dtype=torch.float32):
    made = build_weights(kind, 0, CONFIG)
    return {name: torch.tensor(array).to(DEVICE, dtype) for name, array in made.items()}


def telling():
    """Every kind of weights; the two that some bugs need; and more than ten layers."""
    hard = some_examples(30, kinds=("huge_scores", "tiny_variance"))
    return some_examples(60) + hard + some_examples(8, n_layer=11, max_positions=4)


def spoilt(why):
    weights, tokens = tensors(), torch.tensor(ROW, device=DEVICE)[None]
    if why == "too many tokens":
        return weights, torch.cat([tokens, tokens], 1)
    if why == "missing tensor":
        del weights["h.1.mlp.c_fc.bias"]
        return weights, tokens
    tokens[0, 2] = CONFIG["vocab_size"] if why == "id past the vocabulary" else -1
    return weights, tokens


def test_every_bug_that_is_known_is_there():
    assert {mutant.id for mutant in MUTANTS} >= KNOWN
    assert {mutant.area for mutant in MUTANTS} == {"model"}


@pytest.mark.parametrize("mutant", WRONG, ids=ids)
def test_each_is_wrong_somewhere(mutant):
    assert shows(mutant, telling())


@pytest.mark.parametrize(("why", "id"), ANSWERS)
def test_some_answer_what_has_to_be_refused(why, id):
    weights, tokens = spoilt(why)
    with pytest.raises((ValueError, KeyError)):
        model.forward(weights, CONFIG, tokens)
    with named(id).applied():
        assert model.forward(weights, CONFIG, tokens).logits.shape == (*tokens.shape, 11)


@pytest.mark.parametrize("id", RANDOM)
def test_some_are_never_the_same_twice(id):
    tokens = torch.tensor(ROW, device=DEVICE)[None]
    with named(id).applied():
        one, two = (model.logits(tensors(), CONFIG, tokens) for _ in range(2))
    assert not torch.equal(one, two)


def test_padding_is_what_shows_a_bug_of_padding():
    """The exception is a mask that is inverted: it hides what is real."""
    unpadded = [e for e in some_examples(60) if e.batch.mask.all()]
    padding = [m for m in MUTANTS if m.id.startswith("pad-") and m.id != "pad-mask-inverted"]
    assert len(padding) == 6
    assert not any(shows(mutant, unpadded) for mutant in padding)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_they_run_in_every_dtype_and_go_on_from_a_past(dtype):
    batch = build_batch("left", 0, [4, 2], 5, 11)
    tokens, mask = (torch.tensor(a, device=DEVICE) for a in (batch.tokens, batch.mask))
    weights = tensors(dtype=getattr(torch, dtype))
    for mutant in MUTANTS:
        with mutant.applied():
            first = model.forward(weights, CONFIG, tokens[:, :3], mask=mask[:, :3])
            second = model.forward(
                weights, CONFIG, tokens[:, 3:], mask=mask[:, 3:], past=first.past
            )
        assert first.logits.dtype == second.logits.dtype == getattr(torch, dtype)
        assert second.past.mask.shape == mask.shape, mutant.id


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.id not in RANDOM], ids=ids)
def test_taps_see_what_goes_wrong(mutant):
    """With a tap the logits are wrong in the same way, and all activations pass."""
    made = build_weights("trained", 0, CONFIG)
    true = measure(made, CONFIG, ROW, dtype="float32", device=DEVICE)
    with mutant.applied():
        seen = activations(made, CONFIG, ROW, dtype="float32", device=DEVICE)
        tokens = torch.tensor(ROW, device=DEVICE)[None]
        untapped = model.logits(tensors(), CONFIG, tokens)[0].double().cpu().numpy()
    layers = {"last-layer-skipped": 1}.get(mutant.id, 2)
    names = {name for name, layer in true.values if layer is not None}
    assert {key for key in seen if key[1] is not None} == {
        (name, layer) for name in names for layer in range(layers)
    }
    tapped = seen["logits", None][0]
    if tapped.shape == true.logits.shape == untapped.shape:
        assert excess(tapped, untapped, true.allowed()) <= 1
    else:
        assert tapped.shape == untapped.shape


def test_the_activation_names_are_those_of_the_configurations():
    for mutant in MUTANTS:
        table = mutant.replaces.get("oracle.model.ACTIVATIONS", dict.fromkeys(ACTIVATIONS))
        assert set(table) == set(ACTIVATIONS)


def test_a_mutant_that_is_applied_twice_is_still_undone():
    mutant = replace(named("no-causal-mask"), id="again")
    true = model.causal_mask
    with mutant.applied(), mutant.applied():
        assert model.causal_mask is not true
    assert model.causal_mask is true
