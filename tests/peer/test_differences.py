"""Where transformers means something else by a setting than npgpt does: docs/differences.md.

Each test shows both sides, so that a release of transformers that changes its mind is noticed.
"""

import numpy as np
import pytest
import torch

import npgpt
from npgpt import GPT, Settings
from npgpt._config import Config
from npgpt.decoding._processors import filters
from npgpt.errors import ContextLengthError, SettingError
from npgpt.model._parameters import from_arrays
from npgpt.tokenizer._training import train
from oracle.bounds._compare import excess
from oracle.bounds._noise import measure
from oracle.strategies._weights import build_weights
from tests.helpers.toy_language_model import Toy
from tests.helpers.transformers_gpt2 import VERSION, build, transformers

CONFIG = {
    "vocab_size": 60,
    "n_positions": 40,
    "n_embd": 6,
    "n_layer": 2,
    "n_head": 3,
    "n_inner": None,
    "tie_word_embeddings": True,
}
WEIGHTS = build_weights("trained", 0, CONFIG)
ALONE = [5, 0, 12, 3]
OTHER = [5, 0, 12, 3, 1, 2]
PAD = 7


def theirs(row=ALONE, *, mask=None, **settings):
    """transformers' generate, in float32."""
    tokens = torch.tensor(np.atleast_2d(row))
    given = torch.ones_like(tokens) if mask is None else torch.tensor(mask)
    return build(WEIGHTS, CONFIG, dtype=torch.float32).generate(
        tokens,
        attention_mask=given,
        pad_token_id=PAD,
        return_dict_in_generate=True,
        output_scores=True,
        **{"max_new_tokens": 1, **settings},
    )


def ours(rows=ALONE, **settings):
    gpt = GPT(Config(**CONFIG), from_arrays(WEIGHTS, Config(**CONFIG)))
    return gpt.generate(rows, **{"max_new_tokens": 1, "output_scores": True, **settings})


def scores(output) -> np.ndarray:
    return output.scores[0].numpy()


def kept(array) -> int:
    return int((np.asarray(array) > -np.inf).sum())


# How far apart two float32 models may be after ALONE.
ROUNDING = 2 * measure(WEIGHTS, CONFIG, np.array(ALONE), dtype="float32").allowed()


def left(row) -> tuple[list, list]:
    """`row` padded on the left beside the longer OTHER, with its mask."""
    pads = len(OTHER) - len(row)
    return [[PAD] * pads + row, OTHER], [[0] * pads + [1] * len(row), [1] * len(OTHER)]


def test_top_k_is_50_unless_turned_off():
    assert kept(scores(theirs(do_sample=True))) == 50
    assert kept(ours(do_sample=True, seed=0).scores[0][0]) == 60


def test_top_k_0_is_off():
    assert kept(scores(theirs(do_sample=True, top_k=0))) == 60
    with pytest.raises(SettingError, match="top_k"):
        Settings(do_sample=True, top_k=0)


def test_temperature_0_is_refused_where_tokens_are_drawn():
    with pytest.raises(ValueError, match="strictly positive"):
        theirs(do_sample=True, temperature=0.0)
    greedy = ours().sequences
    assert ours(do_sample=True, temperature=0.0).sequences == greedy


def test_a_tiny_temperature_overflows():
    with pytest.raises(RuntimeError, match="inf"):
        theirs(do_sample=True, temperature=1e-39)
    assert ours(do_sample=True, temperature=1e-39, seed=0).sequences == ours().sequences


@pytest.mark.parametrize("name", ["temperature", "repetition_penalty"])
def test_whole_numbers_are_refused(name):
    with pytest.raises(ValueError, match="strictly positive float"):
        theirs(do_sample=True, **{name: 2})
    assert ours(do_sample=True, seed=0, **{name: 2}).stopped == ["length"]


@pytest.mark.filterwarnings("ignore:`do_sample` is set to `False`:UserWarning")
def test_sampling_settings_without_sampling_are_ignored():
    assert theirs(temperature=0.5).sequences.shape == (1, 5)
    with pytest.raises(SettingError, match="do_sample"):
        ours(temperature=0.5)


@pytest.mark.parametrize(("p", "count"), [(0.0, 1), (1.5, 60)])
def test_top_p_outside_its_range(p, count):
    """Theirs keeps one token at 0, and is off above 1."""
    assert kept(scores(theirs(do_sample=True, top_k=0, top_p=p))) == count
    with pytest.raises(SettingError, match="top_p"):
        Settings(do_sample=True, top_p=p)


def test_top_p_keeps_the_last_of_equals():
    equal = np.zeros((1, 4), np.float32)
    found = transformers.TopPLogitsWarper(0.5)(None, torch.from_numpy(equal)).numpy()
    assert np.flatnonzero(found[0] > -np.inf).tolist() == [2, 3]
    assert np.flatnonzero(filters.top_p(equal, p=0.5)[0] > -np.inf).tolist() == [0, 1]


def test_top_p_keeps_a_token_too_many():
    """Theirs compares rounded sums with 1 − p: one token of ten has a tenth, not less."""
    equal = np.zeros((1, 10), np.float32)
    assert kept(transformers.TopPLogitsWarper(0.1)(None, torch.from_numpy(equal))) == 2
    assert kept(filters.top_p(equal, p=0.1)) == 1


def test_repetition_penalty_punishes_pads():
    """Theirs did; version 5 looks past pads on the left."""
    tokens, mask = left(ALONE)
    alone = scores(theirs(repetition_penalty=3.0))[0]
    padded = scores(theirs(tokens, mask=mask, repetition_penalty=3.0))[0]
    changed = np.abs(padded - alone) > 3 * ROUNDING
    assert np.flatnonzero(changed).tolist() == ([PAD] if VERSION[0] == 4 else [])
    row, _ = ours([ALONE, OTHER], repetition_penalty=3.0).scores
    (single,) = ours(repetition_penalty=3.0).scores
    assert not (np.abs(row[0] - single[0]) > 3 * ROUNDING).any()


def test_min_length_counts_pads():
    tokens, mask = left(ALONE)
    settings = {"min_length": len(OTHER), "eos_token_id": 3, "max_new_tokens": 4}
    assert scores(theirs(tokens, mask=mask, **settings))[0, 3] > -np.inf
    assert scores(theirs(**settings))[0, 3] == -np.inf
    assert ours([ALONE, OTHER], **settings).scores[0][0][3] == -np.inf


def test_max_length_counts_pads():
    tokens, mask = left(ALONE)
    limit = {"max_length": 8, "max_new_tokens": None}
    # Two of the first row's eight are pads.
    assert theirs(tokens, mask=mask, **limit).sequences.shape == (2, 8)
    assert [len(row) for row in ours([ALONE, OTHER], **limit).sequences] == [8, 8]


def test_padding_on_the_right_is_generated_after():
    """Theirs reads the last column's logits, which stand over a pad."""
    tokens = [[*ALONE, PAD, PAD], OTHER]
    mask = [[1] * 4 + [0] * 2, [1] * 6]
    right = scores(theirs())[0]
    assert excess(scores(theirs(tokens, mask=mask))[0], right, ROUNDING) > 1
    padded = ours(np.array(tokens), mask=np.array(mask, bool)).scores[0][0]
    assert excess(padded, right, ROUNDING) <= 1


@pytest.mark.filterwarnings("ignore:Using the model-agnostic default:UserWarning")
def test_without_a_limit_twenty_tokens():
    assert theirs(max_new_tokens=None).sequences.shape[1] == len(ALONE) + 20
    assert len(ours(max_new_tokens=None).sequences[0]) == CONFIG["n_positions"]


def test_two_limits():
    assert theirs(max_new_tokens=2, max_length=30).sequences.shape[1] == len(ALONE) + 2
    with pytest.raises(SettingError, match="max_length"):
        ours(max_new_tokens=2, max_length=30)


@pytest.mark.filterwarnings("ignore:Unfeasible length constraints:UserWarning")
def test_a_minimum_above_the_maximum():
    assert theirs(min_new_tokens=4, max_new_tokens=2, eos_token_id=3).sequences.shape[1] == 6
    with pytest.raises(SettingError, match="min_new_tokens"):
        ours(min_new_tokens=4, max_new_tokens=2, eos_token_id=3)


@pytest.mark.filterwarnings("ignore:Unfeasible length constraints:UserWarning")
def test_two_minima():
    """Theirs forgets min_length where min_new_tokens is given."""
    settings = {"min_length": 9, "min_new_tokens": 1, "max_new_tokens": 6, "eos_token_id": 3}
    second = theirs(**settings).scores[1][0, 3]
    assert second > -np.inf
    assert ours(**settings).scores[0][1][3] == -np.inf


def test_past_the_context():
    with pytest.raises(IndexError):
        theirs(max_new_tokens=CONFIG["n_positions"])
    with pytest.raises(ContextLengthError, match="40"):
        ours(max_new_tokens=CONFIG["n_positions"])


def test_an_eos_that_the_vocabulary_lacks():
    assert theirs(eos_token_id=60).sequences.shape == (1, 5)
    with pytest.raises(SettingError, match="eos_token_id"):
        ours(eos_token_id=60)


def test_every_token_ruled_out():
    """Greedy, theirs takes token 0 all the same; drawing, it fails."""
    settings = {"eos_token_id": list(range(60)), "min_new_tokens": 1}
    assert theirs(**settings).sequences[0, -1] == 0
    with pytest.raises(RuntimeError, match="nan"):
        theirs(**settings, do_sample=True)
    assert ours(**settings).stopped == ["no_candidates"]


def test_stop_strings_that_begin_in_the_prompt(tmp_path):
    tokenizer = train(["a"], vocab_size=257)
    npgpt.tokenizer._files.save(tokenizer, tmp_path)
    stop = transformers.StopStringCriteria(
        transformers.GPT2TokenizerFast.from_pretrained(tmp_path), ["xa"]
    )
    x, a = tokenizer.encode("xa")
    assert stop(torch.tensor([[x, a]]), None).tolist() == [True]
    always = Toy(lambda history: np.eye(257)[a])
    settings = Settings(stop_strings="xa", max_new_tokens=3)
    found = npgpt.generate(always, [x], settings, decode=tokenizer.decode)
    assert found.new_tokens == [[a, a, a]]


def test_scores_are_float32_whatever_the_model_is():
    model = build(WEIGHTS, CONFIG)
    output = model.generate(
        torch.tensor([ALONE]), max_new_tokens=1, return_dict_in_generate=True, output_logits=True
    )
    assert (model.dtype, output.logits[0].dtype) == (torch.float64, torch.float32)
    wide = {name: array.astype(np.float64) for name, array in WEIGHTS.items()}
    gpt = GPT(Config(**CONFIG), from_arrays(wide, Config(**CONFIG)))
    found = gpt.generate(ALONE, max_new_tokens=1, output_scores=True)
    assert found.scores[0][0].dtype == np.float64


def test_a_config_without_token_ids_has_50256():
    assert transformers.GPT2Config().eos_token_id == 50256
    assert Config().eos_token_id is None
