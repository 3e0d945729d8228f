import pytest
import torch

from oracle import model
from oracle.mutants._cache import MUTANTS
from oracle.mutants._catalogue import named
from oracle.strategies._weights import build_weights
from tests.helpers.device import DEVICE
from tests.helpers.mutant_examples import shows, some_examples

KNOWN = ("cache-position-restart", "cache-wpe-skipped", "cache-mask-rows", "cache-leaks")


def ids(mutant):
    return mutant.id


def cut_examples():
    return some_examples(60, cut=True)


def test_every_bug_that_is_known_is_there():
    assert set(KNOWN) <= {mutant.id for mutant in MUTANTS}
    assert {mutant.area for mutant in MUTANTS} == {"cache"}


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.id != "cache-leaks"], ids=ids)
def test_each_is_wrong_in_a_later_call_and_right_in_the_first(mutant):
    assert shows(mutant, cut_examples(), cached=True)
    assert not shows(mutant, cut_examples()[::3])


def test_what_leaks_shows_when_a_call_is_made_again():
    mutant, found = named("cache-leaks"), set()
    for example in cut_examples():
        example.reference("float32")
        with mutant.applied():
            found |= {example.error("float32") > 1 for _ in range(2)}
    assert True in found


def test_what_leaks_is_one_call_and_no_more():
    """So a model that is judged for hours does not grow."""
    config = {**model.DEFAULTS, "vocab_size": 3, "n_positions": 4, "n_embd": 2, "n_head": 1}
    config["n_layer"] = 1
    made = build_weights("trained", 0, config)
    weights = {name: torch.tensor(array, device=DEVICE) for name, array in made.items()}
    tokens = torch.tensor([[2, 1, 0]], device=DEVICE)
    true = model.logits(weights, config, tokens)
    with named("cache-leaks").applied():
        first, *later = (model.forward(weights, config, tokens) for _ in range(4))
    assert torch.equal(first.logits, true)
    assert all(torch.equal(output.logits, later[0].logits) for output in later)
    assert not torch.equal(later[0].logits, true)
    assert all(output.past.keys[0].shape == (1, 1, 3, 2) for output in later)
