"""Where a processor of transformers means something else than npgpt's: docs/differences.md.

Each test shows both sides, so that a release of transformers that changes its mind is noticed.
"""

import numpy as np
import pytest
import torch

from npgpt import Settings
from npgpt.decoding._processors import entropy_filters, filters, phrases
from npgpt.decoding._scoring import Row
from oracle.bounds._compare import excess
from oracle.bounds._rounding import gamma
from tests.helpers.beside_transformers import STEPS, TINY, bigram, ours, raw, tiny
from tests.helpers.transformers_gpt2 import VERSION, padded, transformers

KIT = transformers.generation.logits_process
INF = np.inf
RNG = np.random.default_rng(0)
TABLE = 2 * RNG.standard_normal((8, 8))


def theirs(processor, scores, tokens=((0,),)) -> np.ndarray:
    given = torch.from_numpy(np.atleast_2d(np.asarray(scores, np.float32)))
    return processor(torch.tensor(tokens), given).numpy()[0]


def stay(scores) -> list[int]:
    return np.flatnonzero(np.asarray(scores).ravel() > -INF).tolist()


@pytest.mark.skipif(VERSION[0] == 4, reason="version 4.49 has no top_h")
def test_top_h_sums_what_is_no_distribution():
    """The first two have an entropy of 0.69 among themselves; theirs counts 0.73 for them."""
    scores = np.log(np.array([[0.41, 0.39, 0.1, 0.1]]))  # 1.19 in all, times 0.6 is 0.72
    assert stay(entropy_filters.top_h(scores, alpha=0.6)) == [0, 1]
    assert stay(theirs(KIT.TopHLogitsWarper(0.6), scores)) == [0]


@pytest.mark.skipif(VERSION[0] == 4, reason="version 4.49 has no top_h")
def test_top_h_looks_at_a_hundred():
    equal = np.zeros((1, 200), np.float32)
    assert len(stay(entropy_filters.top_h(equal, alpha=1.0))) == 200
    assert len(stay(theirs(KIT.TopHLogitsWarper(1.0), equal))) <= 100


def test_top_h_is_new():
    if VERSION[0] == 4:
        with pytest.raises(ValueError, match="top_h"):
            raw(tiny(0), [[1]], do_sample=True, top_h=0.5, max_new_tokens=1)
    assert Settings(do_sample=True, top_h=0.5).top_h == 0.5


def test_typical_p_among_equals():
    equal = np.zeros((1, 4), np.float32)
    assert stay(entropy_filters.typical_p(equal, mass=0.3)) == [0, 1]
    assert stay(theirs(KIT.TypicalLogitsWarper(0.3), equal)) == [0, 1, 2, 3]


def test_epsilon_above_every_probability():
    equal = np.zeros((1, 4), np.float32)
    assert stay(filters.epsilon_cutoff(equal, epsilon=0.9)) == [0]
    assert stay(theirs(KIT.EpsilonLogitsWarper(0.9), equal)) == [0, 1, 2, 3]


@pytest.mark.skipif(VERSION[0] == 4, reason="version 4.49 goes by the scores")
def test_min_p_among_probabilities_that_underflow():
    """Where a least number is to stay, theirs takes any of those that are 0 in float32."""
    scores = np.array([[-300.0, -200.0, 0.0]], np.float32)
    assert stay(filters.min_p(scores, share=0.5, min_tokens_to_keep=2)) == [1, 2]
    assert stay(theirs(KIT.MinPLogitsWarper(0.5, min_tokens_to_keep=2), scores)) == [0, 2]


def test_forced_bos_after_a_longer_prompt():
    pair, unlikely = bigram(TABLE), int(TABLE[2].argmin())
    for row, obeyed in (([2], True), ([1, 2], False)):
        settings = {"forced_bos_token_id": unlikely, "max_new_tokens": 1}
        output, width = raw(pair, [row], **settings)
        assert (output.sequences[0, width] == unlikely) == obeyed
        assert ours(pair.gpt(), [row], **settings).new == ((unlikely,),)


def test_a_forced_token_that_is_suppressed():
    settings = {"forced_eos_token_id": 5, "suppress_tokens": [5], "max_new_tokens": 1}
    pair = bigram(TABLE)
    if VERSION[0] == 4:
        output, width = raw(pair, [[1]], **settings)
        assert not stay(output.scores[0])
        assert output.sequences[0, width] == 0
    else:
        with pytest.raises(ValueError, match="forced_eos_token_id"):
            raw(pair, [[1]], **settings)
    assert pair.gpt().generate([1], **settings).stopped == ["no_candidates"]


def test_a_bad_word_that_ends_the_text():
    settings = {"bad_words_ids": [[5]], "eos_token_id": 5, "max_new_tokens": 1}
    pair = bigram(TABLE)
    assert 5 in stay(raw(pair, [[1]], **settings)[0].scores[0])
    assert 5 not in stay(ours(pair.gpt(), [[1]], **settings).scores[0][0])


def test_a_phrase_whose_last_token_alone_is_missing():
    """4.49 leaves out a phrase longer than the row."""
    bias = {(1, 2, 3): 2.0}
    found = phrases.sequence_bias([Row([1, 2], 2)], np.zeros((1, 4)), biases=list(bias.items()))
    assert found[0, 3] == 2
    wanted = theirs(KIT.SequenceBiasLogitsProcessor(bias), np.zeros(4), [[1, 2]])
    assert wanted[3] == (0 if VERSION[0] == 4 else 2)


def test_biases_that_are_refused():
    """Whole numbers, and in 4.49 the id 0 in a list."""
    with pytest.raises(ValueError, match="sequence_bias"):
        KIT.SequenceBiasLogitsProcessor({(1,): 2})
    if VERSION[0] == 4:
        with pytest.raises(ValueError, match="sequence_bias"):
            KIT.SequenceBiasLogitsProcessor([[[0], 1.5]])
    assert Settings(sequence_bias={(1,): 2}).sequence_bias == (((1,), 2.0),)
    assert Settings(sequence_bias=[[[0], 1.5]]).sequence_bias == (((0,), 1.5),)


@pytest.mark.parametrize("name", ["logit_bias", "frequency_penalty", "presence_penalty"])
def test_settings_that_are_unknown(name):
    value = {1: 1.0} if name == "logit_bias" else 0.5
    with pytest.raises((ValueError, TypeError), match=name):
        raw(tiny(0), [[1]], max_new_tokens=1, **{name: value})
    assert getattr(Settings(**{name: value}), name)


def test_pads_in_ngrams():
    """A pair of pads and a pad at the end of the prompt: theirs sees the pad come again."""
    pair = bigram(TABLE)
    rows, settings = [[3], [1, 2, 3]], {"no_repeat_ngram_size": 1, "max_new_tokens": 1}
    padded, alone = (raw(pair, each, **settings)[0].scores[0][0] for each in (rows, rows[:1]))
    assert set(stay(alone)) - set(stay(padded)) == {pair.pad}
    found = ours(pair.gpt(), rows, **settings).scores[0][0]
    assert stay(found) == stay(ours(pair.gpt(), rows[:1], **settings).scores[0][0]) == stay(alone)


def test_pads_before_allowed_tokens():
    seen = []

    def note(prompt, tokens):
        seen.append([int(token) for token in tokens])
        return [1]

    pair = bigram(TABLE)
    settings = {"prefix_allowed_tokens_fn": note, "max_new_tokens": 1}
    raw(pair, [[3], [1, 2]], **settings)
    ours(pair.gpt(), [[3], [1, 2]], **settings)
    assert seen == [[pair.pad, 3], [1, 2], [3], [1, 2]]


def test_allowed_tokens_of_copies():
    """Theirs counts rows up to 5.23, npgpt prompts."""
    seen = []

    def note(prompt, tokens):
        seen.append(prompt)
        return [1]

    pair = bigram(TABLE)
    settings = {"prefix_allowed_tokens_fn": note, "max_new_tokens": 1}
    settings |= {"do_sample": True, "num_return_sequences": 2}
    raw(pair, [[3], [1]], **settings)
    pair.gpt().generate([[3], [1]], seed=0, **settings)
    theirs = [0, 1, 2, 3] if VERSION < (5, 24) else [0, 0, 1, 1]
    assert seen == [*theirs, 0, 0, 1, 1]


def test_no_allowed_token():
    pair = bigram(TABLE)
    settings = {"prefix_allowed_tokens_fn": lambda prompt, tokens: [], "max_new_tokens": 1}
    with pytest.raises(ValueError, match="empty list"):
        raw(pair, [[3]], **settings)
    assert pair.gpt().generate([3], **settings).stopped == ["no_candidates"]


def test_decay_of_an_end_that_is_banned():
    """−∞ + ∞ is NaN, which 4.49 takes for the greatest of all."""
    settings = {
        "exponential_decay_length_penalty": (0, 1.5),
        "min_new_tokens": 3,
        "eos_token_id": 5,
        "max_new_tokens": 3,
    }
    pair = bigram(TABLE)
    output, width = raw(pair, [[1]], **settings)
    assert output.scores[1][0, 5].isnan() == (VERSION[0] == 4)
    assert (output.sequences[0, width + 1] == 5) == (VERSION[0] == 4)
    found = ours(pair.gpt(), [[1]], **settings)
    assert found.scores[0][1][5] == -INF
    assert 5 not in found.new[0][:2]


def test_decay_without_an_end():
    settings = {"exponential_decay_length_penalty": (0, 1.5), "max_new_tokens": 2}
    pair = bigram(TABLE)
    with pytest.raises((ValueError, RuntimeError, TypeError)):
        raw(pair, [[1]], **settings)
    assert len(ours(pair.gpt(), [[1]], **settings).new[0]) == 2


def test_begin_suppress_after_a_forced_start():
    """After a prompt of one token, theirs suppresses at the second step, not at the first."""
    settings = {"forced_bos_token_id": 5, "begin_suppress_tokens": [6], "max_new_tokens": 2}
    pair = bigram(TABLE)
    output, _ = raw(pair, [[1]], **settings)
    assert [6 in stay(step) for step in output.scores] == [False, False]
    found = ours(pair.gpt(), [[1]], **settings).scores[0]
    assert [6 in stay(step) for step in found] == [False, True]


def test_guidance_of_padded_negative_prompts():
    """Theirs numbers the pads as positions: the row is another one beside a longer one."""
    pair, rows, negative = tiny(0), [[3, 1], [2, 4]], [[5], [7, 8, 2]]
    settings = {"guidance_scale": 2.0, "max_new_tokens": 1}
    tokens, mask = padded(negative, "left")
    given = {
        "negative_prompt_ids": torch.from_numpy(tokens),
        "negative_prompt_attention_mask": torch.from_numpy(mask.astype(np.int64)),
    }
    beside = raw(pair, rows, **settings, **given)[0].scores[0][0].double().numpy()
    one = {"negative_prompt_ids": torch.tensor(negative[:1])}
    alone = raw(pair, rows[:1], **settings, **one)[0].scores[0][0].double().numpy()
    found = ours(pair.gpt(), rows, negative_prompt=negative, **settings).scores[0][0]
    rounding = 2 * gamma(STEPS + TINY["vocab_size"], "float32") * np.abs(alone).max()
    assert excess(found, alone, rounding) <= 1
    assert excess(beside, alone, rounding) > 1
