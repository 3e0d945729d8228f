"""What a report is told, against the readings that it is made of."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from npgpt._arrays import Array
from npgpt.audit import _attention_summary as attention_summary
from npgpt.audit import _next_token as next_token
from npgpt.audit._attribution import largest_first
from npgpt.audit._next_token import NO_TOKEN, likeliest
from npgpt.audit._verification import verify_pass
from npgpt.audit.report._facts import gather
from npgpt.audit.report._readings import attribute_targets, non_finite
from npgpt.audit.report._recording import Recording
from npgpt.audit.report._verdict import verdict
from npgpt.trace import Key, Recorder
from tests.helpers.audits import audited, odd_gpts

PROMPT = "Shall I shall I"


def test_the_likeliest_come_first_and_of_equal_ones_the_lower_id() -> None:
    logits = np.array([[0.0, 2.0, 1.0, 2.0], [-np.inf, 3.0, -np.inf, -np.inf]])
    ids, probabilities = likeliest(logits, 4)
    assert ids.tolist() == [[1, 3, 2, 0], [1, 0, 2, 3]]
    assert probabilities[0, 0] == probabilities[0, 1]
    assert probabilities[1].tolist() == [1, 0, 0, 0]


@given(
    arrays(np.float32, (3, 7), elements=st.sampled_from([-np.inf, -1, 0, 0.5, 2, np.inf])),
    st.integers(1, 7),
)
def test_the_first_few_are_those_of_a_whole_stable_sort(logits: Array, k: int) -> None:
    ids, _ = likeliest(logits, k)
    assert np.array_equal(ids, np.argsort(-logits, axis=-1, kind="stable")[:, :k])


def test_where_logits_are_nan_nothing_is_the_likeliest() -> None:
    ids, probabilities = likeliest(np.array([[0.0, np.nan], [2.0, np.inf]]), 2)
    assert ids.tolist() == [[NO_TOKEN, NO_TOKEN], [1, 0]]
    assert np.isnan(probabilities[0]).all()


def test_it_does_not_matter_how_many_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = np.random.default_rng(0).normal(size=(7, 50)).astype(np.float32)
    whole = likeliest(logits, 5)
    monkeypatch.setattr(next_token, "_AT_ONCE", 2)
    for ours, theirs in zip(likeliest(logits, 5), whole, strict=True):
        assert np.array_equal(ours, theirs)


def test_heads_are_read_over_all_positions_but_the_first() -> None:
    _, facts, of = audited(PROMPT)
    for head in facts["heads"]:
        pattern = of.trace["pattern", head["layer"]][:, [head["head"]]]
        count = pattern.shape[-1] - 1
        previous = attention_summary.attention_to_previous(pattern)[0, 0, 1:]
        assert head["to_previous"] == previous.sum() / count
        assert (
            head["entropy"] == attention_summary.attention_entropy(pattern)[0, 0, 1:].sum() / count
        )
        found = attention_summary.induction_score(pattern, of.tokens)[0, 0]
        assert np.array_equal(head["induction"], found, equal_nan=True)


@pytest.mark.parametrize(
    ("kind", "reading", "sign"),
    [("to_previous", "to_previous", -1), ("to_first", "to_first", -1),
     ("lowest_entropy", "entropy", 1), ("highest_entropy", "entropy", -1)],
)  # fmt: skip
def test_the_heads_that_stand_out_are_the_first_in_order(
    kind: str, reading: str, sign: int
) -> None:
    facts = audited(PROMPT)[1]
    values = sorted((head[reading] for head in facts["heads"]), key=lambda value: sign * value)
    assert [head["value"] for head in facts["striking"][kind]] == values[:3]


def test_every_part_of_a_logit_is_told_once() -> None:
    _, facts, of = audited(PROMPT)
    found = facts["attribution"]
    each = [(part["part"], part["values"][2]) for part in found["parts"]]
    layers, heads = of.config.n_layer, of.config.n_head
    assert len({name for name, _ in each}) == len(each) == 3 + layers * (heads + 3)
    sizes = [abs(value) for _, value in each]
    ordered = largest_first(attribute_targets(of).parts.parts(2))
    assert [abs(part.value) for part in ordered] == sorted(sizes, reverse=True)
    # Sums of the same numbers in two orders: each is within γₙ of the sum of their sizes.
    n = len(each)
    allowed = 2 * n * np.finfo(np.float64).eps * sum(sizes)
    assert abs(sum(value for _, value in each) - found["sum"][2]) <= allowed
    assert [t["id"] for t in found["targets"]] == [*of.tokens[0, 1:], facts["next"][0]["id"]]


def verified(of: Recording, *, same: bool | None = None) -> dict[str, Any]:
    return verdict(verify_pass(of.trace, of.tokens, of.parameters, of.config), same=same)


def test_what_is_wrong_is_found_and_named() -> None:
    of = audited(PROMPT)[2]
    assert verified(of)["ok"]
    assert not verified(of, same=False)["ok"]
    found = verified(changed(of, ("pattern", 1), of.trace["pattern", 1] * np.float32(1.01)))
    assert not found["ok"]
    assert found["largest"]["name"] in ("pattern", "head_out")
    assert found["largest"]["layer"] == 1


def changed(of: Recording, key: Key, array: Array) -> Recording:
    return of._replace(trace=dataclasses.replace(of.trace, arrays={**of.trace.arrays, key: array}))


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_any_number_that_is_not_the_models_is_found_and_named(value: float) -> None:
    of = audited(PROMPT)[2]
    for (name, layer), array in of.trace.arrays.items():
        wrong = array.copy()
        wrong[(0,) * wrong.ndim] *= value
        found = verified(changed(of, (name, layer), wrong))
        ratios = {(one["name"], one["layer"]): one["ratio"] for one in found["arrays"]}
        assert not found["ok"]
        assert ratios[name, layer] > 1
        assert ratios.keys() == of.trace.arrays.keys()


def test_one_bit_of_the_logits_is_seen() -> None:
    of = audited(PROMPT)[2]
    plain = of.trace["logits"].copy()
    assert gather(of, plain)["verified"]["ok"]
    plain[0, 1, 2] = np.nextafter(plain[0, 1, 2], np.float32(np.inf))
    found = gather(of, plain)["verified"]
    assert (found["ok"], found["same_logits"]) == (False, False)


def test_what_is_not_finite_is_counted_but_not_the_masked_scores() -> None:
    _, facts, of = audited(PROMPT, odd_gpts()["nan"])
    n, vocab = len(facts["tokens"]), of.config.vocab_size
    assert facts["non_finite"] == [
        {"name": "ln_f", "layer": None, "count": n},
        {"name": "logits", "layer": None, "count": n * vocab},
    ]
    assert {token["rank"] for token in facts["tokens"]} == {None}
    scores = of.trace["scores", 0].copy()
    scores[0, 0, 2, 1] = np.inf
    one = of._replace(trace=Recorder(arrays={("scores", 0): scores}))
    assert non_finite(one) == {("scores", 0): 1}
