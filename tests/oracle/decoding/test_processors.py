import math

import pytest
import torch

from oracle.decoding import _processors as p
from oracle.decoding._rows import counts, right_aligned
from oracle.ops._softmax import log_softmax
from tests.helpers.device import DEVICE

INF = math.inf


def scores(*rows):
    return torch.tensor(rows, dtype=torch.float64, device=DEVICE)


def same(found, *rows):
    assert found.tolist() == [list(row) for row in rows]
    assert found.device.type == DEVICE.type


def logs(*rows):
    return scores(*rows).log()


def test_guidance_of_one_is_the_conditional_and_of_zero_the_negative():
    conditional, negative = logs([0.5, 0.25, 0.25]), logs([0.25, 0.25, 0.5])
    assert torch.equal(p.guidance(conditional, negative, 1.0), log_softmax(conditional))
    assert torch.equal(p.guidance(conditional, negative, 0.0), log_softmax(negative))


def test_guidance_normalises_both_sides():
    zeros = scores([0.0, 0.0])
    found = p.guidance(zeros + 3, zeros - 5, 2.0)
    assert torch.equal(found, p.guidance(zeros, zeros, 2.0))
    assert torch.equal(found, log_softmax(zeros))


def test_guidance_where_something_is_impossible():
    found = p.guidance(logs([0.5, 0.5, 0.0, 0.0]), logs([1.0, 0.0, 0.0, 0.0]), 3.0)
    half = log_softmax(scores([0.0, 0.0, -INF]))[0, 0].item()
    same(found, [3 * half, 3 * half, -INF, -INF])


def test_sequence_bias_counts_the_prompt_and_adds_up():
    biases = {(2,): 1.0, (0, 2): 10.0, (1, 0, 2): 100.0, (1, 2): 1000.0, (9, 1, 0, 2): 1e4}
    found = p.sequence_bias([[1, 0], [0], [0, 1], []], scores(*[[0.0, 0.0, 0.5]] * 4), biases)
    assert found[:, 2].tolist() == [111.5, 11.5, 1001.5, 1.5]
    assert found[:, :2].abs().sum() == 0


def test_sequence_bias_brings_back_nothing_that_is_ruled_out():
    same(p.sequence_bias([[0]], scores([-INF, 0.0]), {(0,): INF}), [-INF, 0.0])


def test_diversity_penalty():
    same(p.diversity_penalty(scores([1.0, 1.0]), scores([0.0, 2.0]), 0.5), [1.0, 0.0])


def test_repetition_penalty_lowers_either_sign_once_a_token():
    rows = [[0, 0, 1, 2], [2]]
    found = p.repetition_penalty(rows, scores([4.0, -4.0, 0.0, 1.0], [4.0, -4.0, -INF, 1.0]), 2.0)
    same(found, [2.0, -8.0, 0.0, 1.0], [4.0, -4.0, -INF, 1.0])


def test_frequency_and_presence_penalties():
    generated = [[0, 0, 1], []]
    zeros = scores([0.0] * 3, [0.0] * 3)
    same(p.frequency_penalty(generated, zeros, 0.5), [-1.0, -0.5, 0.0], [0.0] * 3)
    same(p.presence_penalty(generated, zeros, 0.5), [-0.5, -0.5, 0.0], [0.0] * 3)


@pytest.mark.parametrize(
    ("row", "size", "banned"),
    [
        ([0, 1], 1, [0, 1]),
        ([0, 1, 0], 2, [1]),
        ([0, 1, 0, 2, 0], 2, [1, 2]),
        ([0, 0], 2, [0]),  # the last n-gram itself counts
        ([0, 1], 2, []),
        ([0, 1, 2, 0, 1], 3, [2]),
        ([0, 1], 3, []),  # too short to hold any
        ([], 1, []),
        ([0, 0, 0], 4, []),
    ],
)
def test_no_repeat_ngram(row, size, banned):
    long = [1, 2, 1, 2, 1, 2]  # another row, so that this one has padding before it
    found = p.no_repeat_ngram([row, long], scores([0.0] * 3, [0.0] * 3), size)[0]
    assert [v for v in range(3) if found[v] == -INF] == banned


def test_bad_words():
    words = [[2], [0, 1], [1, 1, 0]]
    rows = [[0], [1, 1], []]
    zeros = scores(*[[0.0] * 3] * 3)
    found = p.bad_words(rows, zeros, words)
    same(found, [0.0, -INF, -INF], [-INF, 0.0, -INF], [0.0, 0.0, -INF])


def test_rule_out_no_token():
    same(p.rule_out(scores([1.0, 2.0]), [], [True]), [1.0, 2.0])


def test_prefix_allowed_sees_the_prompts_index_and_all_tokens():
    seen = []

    def allowed(prompt, tokens):
        seen.append((prompt, tokens))
        return [[0, 2], []][prompt]

    found = p.prefix_allowed([[1, 2], [3]], scores([0.0] * 3, [0.0] * 3), [0, 1], allowed)
    same(found, [0.0, -INF, 0.0], [-INF] * 3)
    assert seen == [(0, [1, 2]), (1, [3])]


def test_force_brings_back_what_was_ruled_out():
    same(p.force(scores([-INF, 5.0]), [0], [True]), [0.0, -INF])


def test_exponential_decay_starts_after_start_and_lifts_either_sign():
    generated = [[0] * 2, [0] * 3, [0] * 4, [0] * 4]
    start = scores([-2.0, 9.0], [-2.0, 9.0], [-2.0, 9.0], [-INF, 9.0])
    found = p.exponential_decay_length_penalty(generated, start, [0], 2, 2.0)
    same(found, [-2.0, 9.0], [0.0, 9.0], [4.0, 9.0], [-INF, 9.0])
    found = p.exponential_decay_length_penalty([[0] * 3], scores([2.0, 1.0]), [0, 1], 2, 2.0)
    same(found, [4.0, 2.0])


@pytest.mark.parametrize("value", [5e-324, 1e-300, 1e-3, 1.0, 1e3, 1e300])
def test_temperature_never_overflows(value):
    found = p.temperature(scores([1e4, -1e4, 1e4, -INF]), value)
    assert found[0, 0] == found[0, 2] < INF
    assert not found.isnan().any()
    assert found[0, 3] == -INF
    assert found[0, 1] < found[0, 0]


def test_counts_and_alignment_of_no_rows_at_all():
    assert counts([], 3, DEVICE).shape == (0, 3)
    assert right_aligned([], DEVICE).shape == (0, 0)
