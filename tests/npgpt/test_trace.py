import numpy as np
import pytest

from npgpt.errors import SettingError
from npgpt.model._forward import forward
from npgpt.trace import (
    INSIDE_BLOCKS,
    NAMES,
    Recorder,
    check_patterns,
    compose,
    explain_name,
    in_order,
    keys,
    label,
)
from tests.helpers.small_gpt import small_gpt

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
        ("ln_1." + "9" * 5000, "write the number of a layer after the dot"),
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


def test_only_for_who_wants_them_are_scores_and_scales_made():
    gpt = small_gpt()
    made = {"scores", "pattern", "ln_1_scale", "ln_2_scale", "ln_f_scale"}

    class Wanting:
        def __init__(self, *names):
            self.names, self.seen = names, set()

        def wants(self, name, layer):
            return name in self.names

        def __call__(self, name, layer, array):
            self.seen.add(name)
            return array

    for names, extra in [
        (("resid_pre",), set()),
        (("ln_1_scale",), {"ln_1_scale"}),
        (("pattern",), {"scores", "pattern"}),
        (("logits", "scores"), {"scores", "pattern"}),
    ]:
        tap = Wanting(*names)
        forward(np.array([TOKENS]), gpt.parameters, gpt.config, tap=tap)
        assert tap.seen == (NAMES.keys() - made) | extra
        both = compose(Wanting(*names), Wanting("ln_2_scale"))
        assert [name for name in NAMES if both.wants(name, 0)] == [
            name for name in NAMES if name in (*names, "ln_2_scale")
        ]


@pytest.mark.parametrize("key", keys(2), ids=lambda key: label(*key))
def test_recorded_alone_it_is_what_it_is_among_all(key):
    gpt = small_gpt()
    alone, among = gpt.trace(TOKENS, label(*key)), gpt.trace(TOKENS)
    assert list(alone.arrays) == [key]
    assert np.array_equal(alone.arrays[key], among.arrays[key])


def test_the_order_is_that_of_the_pass():
    gpt = small_gpt()
    seen = []
    forward(
        np.array([TOKENS]),
        gpt.parameters,
        gpt.config,
        tap=lambda name, layer, array: seen.append((name, layer)) or array,
    )
    assert seen == keys(2)
    assert in_order(reversed(seen)) == seen


@pytest.mark.parametrize("names", ["*", "resid_*", ["resid_pre.1", "logits"]])
def test_a_recorder_is_shown_on_a_screen(names):
    trace = small_gpt().trace(list(range(40)), names)
    assert len(repr(trace).splitlines()) <= 25
    assert max(map(len, repr(trace).splitlines())) <= 100
    assert len(trace._repr_html_()) < 3000
    for name, _ in trace.arrays:
        assert f"{name} " in repr(trace)
        assert f"<td>{name}</td>" in trace._repr_html_()
    assert str(trace["logits"].shape) in repr(trace) if "logits" in names else True


def test_a_recorder_that_holds_too_much_for_a_screen_is_cut():
    arrays = {("resid_pre", layer): np.zeros((1, layer + 1)) for layer in range(500)}
    assert len(repr(Recorder(arrays=arrays)).splitlines()) <= 26
    assert "and 476 more" in repr(Recorder(arrays=arrays))
    many = {("resid_pre", layer): np.zeros(1) for layer in range(0, 5000, 2)}
    assert len(repr(Recorder(arrays=many))) < 300


def test_recorders_are_compared_and_hashed_without_looking_at_arrays():
    one, other = small_gpt().trace(TOKENS), small_gpt().trace(TOKENS)
    assert one == one
    assert one != other
    assert len({one, other, one}) == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_explained_by_ours_and_by_transformer_lens(name):
    told = explain_name(name)
    assert told.startswith(f"{name}, ")
    assert NAMES[name].meaning in told
    if lens := NAMES[name].lens:
        assert explain_name(lens) == told


def test_what_is_no_name_is_not_explained():
    for name in ("", "resid_md"):
        with pytest.raises(SettingError, match="no activation is named"):
            explain_name(name)
