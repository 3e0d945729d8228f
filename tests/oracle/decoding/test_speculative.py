import pytest
from hypothesis import given

from oracle.decoding._decoders import decoder_of, generate
from oracle.decoding._language_model import LanguageModel
from oracle.decoding._speculative import look_up
from oracle.strategies._decoding_problems import decoding_problems
from oracle.strategies._toy_language_models import build_toy
from tests.helpers.toy_decoding import of_toy, solve, table, whole_texts


@whole_texts
@given(decoding_problems("speculative decoding"))
def test_guesses_change_nothing(problem):
    found = solve(problem)
    alone = {k: v for k, v in problem.settings.items() if k != "prompt_lookup_num_tokens"}
    assert decoder_of(alone) in ("greedy", "sampling")
    plain = solve(problem, settings=alone, draft=None)
    assert found.sequences == plain.sequences
    assert found.stopped == plain.stopped
    assert found.logprobs == plain.logprobs
    assert found.margins == plain.margins
    for a, b in zip(found.scores, plain.scores, strict=True):
        assert a.tolist() == b.tolist()


@pytest.mark.parametrize(("number", "calls"), [(1, 4), (2, 3), (3, 2), (7, 1)])
@pytest.mark.parametrize("sample", [False, True])
def test_a_draft_that_is_the_model_is_always_right(number, calls, sample):
    toy, seen = build_toy("steep", 1, 4, 3), []
    model = of_toy(toy)

    def counted(rows):
        seen.append(len(rows))
        return model.logits_of(rows)

    settings = {"max_new_tokens": 8, "num_assistant_tokens": number, "do_sample": sample}
    us = [[0.1, 0.9, 0.5, 0.3, 0.7, 0.2, 0.8, 0.6]]
    found = generate(LanguageModel(counted), [[0]], settings, draft=model, uniforms=us)
    assert len(seen) == calls
    assert found.sequences == generate(model, [[0]], settings, uniforms=us).sequences


def test_a_draft_that_is_wrong_costs_its_guesses_only():
    model, wrong = table(lambda row: [1.0, 0.0]), table(lambda row: [0.0, 1.0])
    settings = {"max_new_tokens": 3}
    assert generate(model, [[1]], settings, draft=wrong).sequences == ((1, 0, 0, 0),)


@pytest.mark.parametrize(
    ("row", "number", "longest", "expected"),
    [
        ([1, 2, 3, 1, 2], 5, 2, [3, 1, 2]),
        ([1, 2, 3, 1, 2], 1, 2, [3]),
        ([1, 2, 4, 2, 3, 1, 2], 2, 2, [4, 2]),
        ([5, 2, 4, 1, 2], 2, 2, [4, 1]),  # only the last token stands earlier
        ([2, 7, 1, 2, 8, 1, 2], 1, 2, [8]),  # the longer n-gram first
        ([2, 7, 1, 2, 8, 1, 2], 1, 1, [7]),  # then the leftmost
        ([3, 3], 4, 2, [3]),
        ([3], 4, 2, []),
        ([], 4, 2, []),
    ],
)
def test_look_up(row, number, longest, expected):
    assert look_up(row, number, longest) == expected
