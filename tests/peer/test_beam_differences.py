"""Where a search of transformers means something else than npgpt's: docs/differences.md.

Each test shows both sides, so that a release of transformers that changes its mind is noticed. The
models are bigrams, whose probabilities a test can name.
"""

import numpy as np
import pytest
import torch

import npgpt
from npgpt.errors import SettingError
from npgpt.ops._softmax import log_softmax
from npgpt.tokenizer._training import train
from oracle.bounds._rounding import gamma
from tests.helpers.beside_transformers import STEPS, TINY, bigram, feed, ours, raw, tiny
from tests.helpers.transformers_gpt2 import VERSION, logits_of, transformers

version_4 = pytest.mark.skipif(VERSION[0] > 4, reason="only 4.49 does so")
version_5 = pytest.mark.skipif(VERSION[0] == 4, reason="only version 5 does so")


def log(*rows) -> np.ndarray:
    """Log-probabilities; 0 stands for what is next to impossible."""
    return np.log(np.maximum(np.array(rows, float), 1e-12))


def flat(size: int) -> np.ndarray:
    return np.zeros((size, size))


# After 0: 1, 2 or 3, of falling probability; after 1 .. 3: 4, 5 or 6, the end being 6.
TREE = log(
    [0, 0.5, 0.3, 0.2, 0, 0, 0],
    [0, 0, 0, 0, 0.4, 0.3, 0.3],
    [0, 0, 0, 0, 0.1, 0.1, 0.8],
    [0, 0, 0, 0, 0.2, 0.2, 0.6],
    [0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1],
    [0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1],
    [0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1],
)


def both(pair, rows, **settings):
    """Their sequences and their scores; npgpt's Generation."""
    output, width = raw(pair, rows, **settings)
    return output.sequences[:, width:].tolist(), output, pair.gpt().generate(rows, **settings)


def test_more_beams_than_texts():
    """Theirs fills up with texts that score −10⁹: the first one again, or in version 5 nothing."""
    settings = {"forced_bos_token_id": 2, "num_beams": 3, "num_return_sequences": 3}
    new, output, found = both(bigram(flat(7)), [[1]], max_new_tokens=1, **settings)
    assert found.new_tokens == [[2]]
    assert len(new) == 3
    assert output.sequences_scores.tolist() == [0, -1e9, -1e9]


def test_everything_banned():
    settings = {"suppress_tokens": list(range(7)), "num_beams": 2, "max_new_tokens": 2}
    new, output, found = both(bigram(flat(7)), [[1]], **settings)
    assert len(new[0]) == (2 if VERSION[0] == 4 else 0)
    assert output.sequences_scores.tolist() == [-np.inf if VERSION[0] == 4 else -1e9]
    assert (found.new_tokens, found.stopped) == ([[]], ["no_candidates"])


def test_equal_totals():
    """npgpt takes the lowest beam and id."""
    settings = {"num_beams": 2, "num_return_sequences": 2, "max_new_tokens": 1}
    new, _, found = both(bigram(flat(7)), [[1]], **settings)
    assert found.new_tokens == [[0], [1]]
    assert new != [[0], [1]]


@version_4
def test_which_end_it_was():
    """4.49 ends each text by the first id, whichever ended it."""
    settings = {"num_beams": 2, "eos_token_id": [4, 6], "max_new_tokens": 4}
    new, _, found = both(bigram(TREE), [[0]], **settings)
    assert found.new_tokens == [[2, 6]]
    assert new == [[2, 4]]


@version_5
def test_padding_with_0():
    """Version 5 takes a pad of 0 for none, and fills up with the end of text."""
    settings = {"num_beams": 2, "eos_token_id": 6, "max_new_tokens": 4, "pad_token_id": 0}
    new, _, found = both(bigram(TREE), [[0], [3]], **settings)
    assert found.new_tokens == [[2, 6], [6]]
    assert new == [[2, 6], [6, 6]]


@version_4
def test_when_to_stop():
    """4.49 goes on because a candidate that has just ended scores better than the worst."""
    pair = tiny(6)
    settings = {"suppress_tokens": [pair.pad], "eos_token_id": [0, 2], "max_new_tokens": 6}
    settings |= {"num_beams": 3, "num_return_sequences": 3}
    new, output, found = both(pair, [[1, 2, 3]], **settings)
    assert new[2] == [15, 15, 15, 8, 0]
    assert found.new_tokens[2] == [15, 15, 0]
    assert output.sequences_scores[2] > found.sequence_scores[2]


@version_5
def test_what_the_limit_cuts_off():
    """early_stopping: version 5 counts texts that the limit cuts off as ended."""
    pair = tiny(3)
    settings = {"suppress_tokens": [pair.pad], "eos_token_id": [9, 17], "max_new_tokens": 3}
    settings |= {"num_beams": 3, "num_return_sequences": 3}
    settings |= {"length_penalty": 0.5, "early_stopping": True}
    new, output, found = both(pair, [[12]], **settings)
    assert new[0] == [14, 8, 8]
    assert found.stopped == ["eos"] * 3
    assert output.sequences_scores[0] > found.sequence_scores[0]


def test_more_draws_than_likely_tokens():
    """Theirs draws tokens of probability 0."""
    settings = {"num_beams": 3, "do_sample": True, "top_k": 2, "max_new_tokens": 1}
    settings |= {"num_return_sequences": 3, "eos_token_id": 6}
    torch.manual_seed(0)
    output, _ = raw(bigram(TREE), [[0]], **settings)
    assert output.sequences_scores[2] < -1e8
    assert sorted(bigram(TREE).gpt().generate([[0]], seed=0, **settings).new_tokens) == [[1], [2]]


@version_5
def test_which_draws_may_end(monkeypatch):
    """The first draws in version 5 up to 5.23; the likeliest in npgpt, 4.49 and from 5.24 on."""
    table = log(*[[0.1, 0.4, 0.3, 0.2]] * 4)
    settings = {"num_beams": 2, "do_sample": True, "max_new_tokens": 1}
    settings["num_return_sequences"] = 2
    uniforms = np.array([[[0.95, 0.6, 0.2, 0.0]]])  # these draw 3, 1, 0, 2
    feed(monkeypatch, uniforms)
    output, width = raw(bigram(table), [[0]], **settings)
    first_drawn = VERSION < (5, 24)
    assert output.sequences[:, width:].tolist() == ([[1], [3]] if first_drawn else [[1], [2]])
    found = bigram(table).gpt().generate([[0]], uniforms=uniforms, **settings)
    assert found.new_tokens == [[1], [2]]


def test_filters_without_an_end():
    """Theirs keeps two tokens of each beam, npgpt one more than there are ends."""
    settings = {"num_beams": 2, "do_sample": True, "top_p": 0.1, "max_new_tokens": 1}
    output, _ = raw(bigram(TREE), [[0]], **settings)
    assert (output.scores[0][0] > -np.inf).sum() == 2
    found = ours(bigram(TREE).gpt(), [[0]], seed=0, **settings)
    assert (found.scores[0][0] > -np.inf).sum() == 1


def test_indices_of_beams():
    """Theirs count the beams of all prompts."""
    settings = {"num_beams": 2, "max_new_tokens": 2}
    _, output, found = both(tiny(0), [[1], [2]], **settings)
    theirs = output.beam_indices.tolist()
    assert [index - 2 for index in theirs[1][:2]] == found.beam_indices[1]


def test_stop_strings(tmp_path):
    """npgpt and version 5 end a beam there; 4.49 stops where all beams hold one, and goes on."""
    tokenizer = train(["a"], vocab_size=257)
    npgpt.tokenizer._files.save(tokenizer, tmp_path)
    theirs = transformers.GPT2TokenizerFast.from_pretrained(tmp_path)
    a, b, c = tokenizer.encode("abc")
    rng = np.random.default_rng(1)
    table = rng.standard_normal((257, 257))
    table[a, b], table[a, c], table[b, c], table[c, a] = 12, 11, 12, 12
    pair = bigram(table)
    settings = {"num_beams": 2, "stop_strings": "b", "max_new_tokens": 4}
    output, width = raw(pair, [[a]], tokenizer=theirs, **settings)
    gpt = npgpt.GPT(pair.gpt().config, pair.gpt().parameters, tokenizer)
    found = gpt.generate([[a]], **settings)
    assert (found.new_tokens, found.stopped) == ([[b]], ["stop_string"])
    assert output.sequences.shape[1] - width == (4 if VERSION[0] == 4 else 1)


def test_guidance_of_beams():
    """Theirs reorders the beams, but not what it remembers of the negative prompt for each.

    Both find the same text here. npgpt's score is what its tokens add up to.
    """
    pair, row, scale = tiny(1), [1, 2, 3], 1.5
    settings = {"num_beams": 3, "guidance_scale": scale, "max_new_tokens": 6}
    new, output, found = both(pair, [row], suppress_tokens=[pair.pad], **settings)
    assert new == found.new_tokens
    text = new[0]
    likely, against = (
        log_softmax(logits_of(pair.model, np.array([[*before, *text]]))[0])[len(before) - 1 : -1]
        for before in (row, row[-1:])
    )
    guided = against + scale * (likely - against)
    wanted = guided[range(len(text)), text].sum() / len(text)
    rounding = gamma(TINY["vocab_size"] + STEPS, "float32") * np.abs(guided).max() * (2 * scale)
    assert abs(found.sequence_scores[0] - wanted) <= rounding
    assert abs(output.sequences_scores[0].item() - wanted) > rounding


@version_4
def test_groups_that_are_done():
    """A group that is done is padded, and its pads count as tokens that it took."""
    table = log(
        [0, 0.6, 0.4, 0, 0, 0, 0],  # the first group goes on with 1, the second with 2
        [0, 0, 0, 0, 0, 0, 1],  # … and ends
        [0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0.6, 0.4, 0],  # now the second has 4 and 5 to choose from
        *[[0, 0, 0, 0, 0.5, 0.5, 0]] * 3,
    )
    settings = {"num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 3.0}
    settings |= {"eos_token_id": 6, "max_new_tokens": 3, "num_return_sequences": 2}
    pair = bigram(table)
    output, width = raw(pair.single(), [[0]], pad_token_id=4, early_stopping=True, **settings)
    found = ours(pair.gpt(), [[0]], early_stopping=True, **settings)
    assert (2, 3, 4) in found.new
    assert [2, 3, 5] in output.sequences[:, width:].tolist()


@version_4
def test_groups_in_float64():
    settings = {"num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 1.0, "max_new_tokens": 1}
    with pytest.raises(RuntimeError, match="dtypes match"):
        raw(tiny(0), [[1]], **settings)
    assert ours(tiny(0).gpt(), [[1]], **settings).scores[0][0].dtype == np.float64


@version_4
def test_a_phrase_that_begins_twice():
    """After 1, 1 the phrase 1, 2 is still one token in; 4.49 starts over, and never sees it."""
    table = flat(5)
    table[0, 1], table[1, 1], table[1, 2] = 9, 3, 2
    settings = {"force_words_ids": [[1, 2]], "num_beams": 2, "max_new_tokens": 3}
    pair = bigram(table)
    new, _, found = both(pair, [[0]], **settings)
    assert new == [[1, 2, 1]]
    assert found.new_tokens == [[1, 1, 2]]


@version_4
def test_phrases_of_the_prompt():
    """They count in 4.49, and here only if they are asked to."""
    settings = {"force_words_ids": [[3]], "num_beams": 2, "max_new_tokens": 2}
    table = flat(5)
    table[:, 1] = 4
    new, _, found = both(bigram(table), [[3, 0]], **settings)
    assert 3 not in new[0]
    assert 3 in found.new_tokens[0]
    asked = bigram(table).gpt().generate([[3, 0]], force_words_in_prompt=True, **settings)
    assert asked.new_tokens == new


@version_4
def test_phrases_that_share_tokens():
    """The same tokens may serve two phrases; 4.49 works at one phrase at a time."""
    settings = {"force_words_ids": [[1, 2], [2, 3]], "num_beams": 4, "max_new_tokens": 3}
    new, _, found = both(bigram(flat(5)), [[0]], **settings)
    assert new == [[2, 0, 3]]
    assert found.new_tokens == [[1, 2, 3]]


@version_4
def test_a_phrase_that_does_not_fit():
    settings = {"force_words_ids": [[1, 2, 3]], "num_beams": 2, "max_new_tokens": 2}
    output, width = raw(bigram(flat(5)), [[0]], **settings)
    assert output.sequences.shape == (1, width + 2)
    with pytest.raises(SettingError, match="force_words_ids"):
        bigram(flat(5)).gpt().generate([[0]], **settings)


@version_5
@pytest.mark.parametrize(
    "settings",
    [
        {"num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 1.0},
        {"num_beams": 2, "force_words_ids": [[1]]},
        {"penalty_alpha": 0.5, "top_k": 2},
    ],
    ids=["diverse beams", "constrained beams", "contrastive search"],
)
def test_searches_that_are_gone(settings):
    with pytest.raises(ValueError, match="trust_remote_code"):
        raw(tiny(0), [[1]], max_new_tokens=1, **settings)
    assert len(ours(tiny(0).gpt(), [[1]], max_new_tokens=1, **settings).new) == 1
