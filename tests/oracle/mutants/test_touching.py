"""Examples on which a mutant need not be run: there it answers as the reference does."""

import pytest

from oracle.adapters import pytorch
from oracle.conformance._catalogue import named
from oracle.conformance._explore import collect
from oracle.conformance._outcome import ask, compared
from oracle.conformance._power import mutated
from oracle.mutants._catalogue import MUTANTS
from oracle.mutants._catalogue import named as mutant_named
from oracle.mutants._touching import noted, parts

# A check of each family but the model's, whose mutants nearly all act on every example of it.
CHECKS = ("processors/order", "decoders/sampling", "decoders/beam-search", "tokenizer/decode")
EXAMPLES = 6


@pytest.mark.parametrize("name", CHECKS)
def test_what_calls_nothing_of_a_mutant_is_answered_as_without_it(name):
    (check,) = named(name)
    mutants = [mutant for mutant in MUTANTS if mutant.area == check.area]
    targets = {target for mutant in mutants for target in mutant.replaces}
    clean, untouched = pytorch.subject(), 0
    for example in collect(check.examples(clean), EXAMPLES):
        with noted(targets) as called:
            answer = ask(check, clean, example)
        wanted = compared(check, "float32", example, answer)
        for mutant in mutants:
            changes = parts(mutant)
            if changes is not None and not changes & called:
                untouched += 1
                other = ask(check, mutated(mutant, "float32"), example)
                assert compared(check, "float32", example, other) == wanted, mutant.id
                assert check.distance("float32", example, answer, other) == 0, mutant.id
    assert untouched > len(mutants)


def test_one_value_of_a_table_is_a_part_of_its_own():
    assert parts(mutant_named("top-k-strict")) == {("oracle.decoding._pipeline.FILTERS", "top_k")}


def test_a_class_or_a_table_in_another_order_may_change_anything():
    assert parts(mutant_named("beam-duplicates")) is None
    with noted(["oracle.decoding._beams.Group"]) as called:
        pass
    assert called == set()


def test_what_is_noted_is_put_back():
    from oracle import model

    true, table = model.layer_norm, model.ACTIVATIONS
    with noted(["oracle.model.layer_norm", "oracle.model.ACTIVATIONS"]):
        assert model.layer_norm is not true
        assert model.ACTIVATIONS is not table
    assert model.layer_norm is true
    assert model.ACTIVATIONS is table
