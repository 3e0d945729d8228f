"""Who does less than all is judged in what they do, and a bug there is seen."""

import pytest
import torch

from oracle.conformance._catalogue import named
from oracle.conformance._model_examples import RELEASED
from oracle.conformance._outcome import WRONG, run
from oracle.conformance._power import mutated
from oracle.mutants._mutant import Mutant
from tests.helpers.broken_subjects import changed


def released_alone(function):
    """It refuses what the four released models do not have."""

    def answering(config, *rest):
        for name, value in RELEASED.items():
            if config[name] != value:
                raise NotImplementedError(f"{name} {config[name]!r}")
        return function(config, *rest)

    return answering


def top_left(query, key, device=None):
    return torch.ones(query, key, dtype=torch.bool, device=device).tril()


@pytest.mark.parametrize("name", ["one by one", "in pieces"])
def test_a_cached_mask_aligned_top_left_is_wrong_whatever_else_is_refused(name):
    """A new token alone sees key 0 alone: a public nanoGPT with a cache does so."""
    bug = Mutant("x", "x", "", "cache", {"oracle.model.causal_mask": top_left})
    subject = mutated(bug, "float32")
    (check,) = named(f"cache/{name}")
    narrow = changed(step=lambda step: released_alone(subject.step))
    assert run(check, narrow, shrink=False).verdict == WRONG
