import numpy as np
import pytest
from small_gpt import small_gpt

from npgpt.errors import SettingError
from npgpt.trace import INSIDE_BLOCKS, NAMES, Recorder, check_patterns

TOKENS = [1, 2, 3]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("pattern", {("pattern", 0), ("pattern", 1)}),
        ("pattern.1", {("pattern", 1)}),
        ("resid_*.0", {("resid_pre", 0), ("resid_mid", 0), ("resid_post", 0)}),
        ("l*_f*", {("ln_f_scale", None), ("ln_f", None)}),
        ("*.1", {(name, 1) for name in INSIDE_BLOCKS}),
    ],
)
def test_what_is_asked_for_is_recorded_and_nothing_else(pattern, expected):
    assert set(small_gpt().trace(TOKENS, pattern).arrays) == expected


def test_what_nobody_asks_for_is_not_copied():
    class Uncopied(np.ndarray):
        def copy(self, order="C"):
            raise AssertionError("copied")

    array = np.zeros(2).view(Uncopied)
    assert Recorder(("ln_1.0", "logits"))("ln_1", 1, array) is array


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("patern", "no activation is named 'patern'; did you mean 'pattern'"),
        ("hook_attn_scores", "did you mean 'scores'"),
        ("hook_z.0", "did you mean 'head_out'"),
        ("?", "no activation is named '?'; the names are token_embedding, "),
        ("", "the names are token_embedding, "),
        ("logits.0", "no activation inside the blocks is named 'logits.0'"),
        ("ln_1.x", "'ln_1.x' ends in 'x'; write the number of a layer"),
        ("ln_1.-1", "'ln_1.-1' ends in '-1'"),
        ("ln_1.2", "layer of 'ln_1' is 2; the model has 2: give one of 0 to 1"),
    ],
)
def test_a_pattern_that_fits_nothing_is_a_named_error(pattern, message):
    with pytest.raises(SettingError) as caught:
        small_gpt().trace(TOKENS, ["ln_f", pattern])
    assert message in str(caught.value)


def test_no_layer_is_in_a_model_without_any():
    with pytest.raises(SettingError, match="the model has 0"):
        check_patterns(["ln_1.0"], 0)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (("pattern", 2), "layer of 'pattern' is 2; it was recorded of 0, 1"),
        ("pattern", "layer of 'pattern' is None; it was recorded of 0, 1"),
        (("ln_1", 0), "no 'ln_1' of layer 0 was recorded; record it"),
        ("patern", "no 'patern' of layer None was recorded; did you mean 'pattern'"),
    ],
)
def test_what_was_not_recorded_is_a_named_error(key, message):
    with pytest.raises(SettingError) as caught:
        small_gpt().trace(TOKENS, "pattern")[key]
    assert message in str(caught.value)


def test_a_trace_shows_what_a_tap_makes_of_the_pass():
    gpt = small_gpt()
    trace = gpt.trace(TOKENS, tap=lambda name, _, a: np.zeros_like(a) if name == "ln_f" else a)
    assert not trace["ln_f"].any()
    assert not trace["logits"].any()


def test_each_name_has_one_name_of_transformer_lens_but_logits():
    names = [NAMES[name].lens for name in NAMES if name != "logits"]
    assert all(names)
    assert len(set(names)) == len(names)
