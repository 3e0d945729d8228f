"""Sites by their names: one name for every part, printed and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt._config import Config
from npgpt.audit import sites
from npgpt.errors import SettingError
from npgpt.trace import NAMES, OUTSIDE_BLOCKS, keys, label

CONFIG = Config(vocab_size=9, n_positions=7, n_embd=6, n_head=3, n_layer=2)
LENGTH = 5


@given(st.data())
def test_a_text_names_the_place_that_place_makes(data):
    name = data.draw(st.sampled_from(sorted(NAMES)))
    axes = NAMES[name].axes.split()
    layer = None if name in OUTSIDE_BLOCKS else data.draw(st.integers(0, CONFIG.n_layer - 1))
    text, at = name if layer is None else f"{name} {layer}", {}
    for axis, keyword, size in (("head", "head", 3), ("inner", "neuron", 24)):
        if axis in axes and layer is not None and data.draw(st.booleans()):
            at[keyword] = data.draw(st.integers(0, size - 1))
            text += f".{at[keyword]}"
    if "query" in axes and data.draw(st.booleans()):
        position = data.draw(st.integers(-LENGTH, LENGTH - 1))
        at["position"] = position % LENGTH
        text += f"@{position}"
    found = sites.parse(CONFIG, text, length=LENGTH)
    assert found == sites.site(CONFIG, name, layer, **at)


@given(st.data(), st.integers(1, 3), st.integers(1, 4), st.integers(1, 30), st.integers(1, 9))
def test_the_name_of_every_part_is_read_as_that_part(data, layers, heads, inner, length):
    config = Config(
        n_positions=length, n_embd=2 * heads, n_head=heads, n_layer=layers, n_inner=inner
    )
    name = data.draw(st.sampled_from([*NAMES, *sites.BIASES]))
    activation = sites.BIASES.get(name, name)
    axes, at = NAMES[activation].axes.split(), {}
    layer = None if activation in OUTSIDE_BLOCKS else data.draw(st.integers(0, layers - 1))
    sizes = {"head": (heads, "head"), "inner": (inner, "neuron"), "query": (length, "position")}
    for axis, (size, keyword) in sizes.items():
        if axis in axes and data.draw(st.booleans()):
            at[keyword] = data.draw(st.integers(0, size - 1))
    site = sites.site(config, name, layer, **at)
    assert sites.parse(config, str(site)) == site
    assert sites.parse(config, str(site), length=length) == site


@pytest.mark.parametrize("key", keys(CONFIG.n_layer), ids=lambda key: label(*key))
def test_the_label_of_an_activation_is_read_as_its_name_is(key):
    whole = sites.site(CONFIG, *key)
    assert sites.parse(CONFIG, label(*key)) == sites.parse(CONFIG, str(whole)) == whole


def test_short_names():
    texts = ("head 1.2", "head 0.1@-5", "neuron 1.23@4", "mlp 1", "mlp 0@-1", "attn 0")
    assert [sites.parse(CONFIG, text, length=LENGTH) for text in texts] == [
        sites.head(CONFIG, 1, 2),
        sites.head(CONFIG, 0, 1, position=0),
        sites.neuron(CONFIG, 1, 23, position=4),
        sites.mlp(CONFIG, 1),
        sites.mlp(CONFIG, 0, position=4),
        sites.site(CONFIG, "attn_out", 0),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' cannot be read; write it as in 'head 3.1'"),
        ("head", "'head' names no layer; write it as in 'head 0'"),
        ("head 1", "'head 1' names no head; write it as in 'head 1.0'"),
        ("neuron 1", "names no neuron"),
        ("head 2.0", "layer of 'head_out' is 2"),
        ("head 1.3", "head of 'head_out' is 3; give one of 0 to 2"),
        ("neuron 1.24", "neuron of 'mlp_post' is 24; give one of 0 to 23"),
        ("mlp 1.1", "has neither heads nor neurons; write 'head 1.1' or 'neuron 1.1'"),
        ("mlp 1@5", "position 5 of 'mlp 1@5' is not one of the 5 of the text; give 0 to 4"),
        ("mlp 1@-6", "position -6 of 'mlp 1@-6'"),
        ("hed 1.1", "no part is named 'hed'; did you mean 'head'?"),
        ("resid_prr 1", "did you mean 'resid_pre'?"),
        ("zzz 1", "the names are head, neuron, attn, mlp, attn_bias, mlp_bias, ln_f_bias, "),
        ("attn_bias 0.1", "'attn_bias' has neither heads nor neurons"),
        ("attn_bias", "'attn_bias' names no layer; write it as in 'attn_bias 0'"),
        ("ln_f_bias 0", "'ln_f_bias' is of none"),
        ("logits 1", "'logits' is of none"),
        ("logits@1", "'logits' has no position to choose"),
        ("head 1.1.1", "cannot be read"),
        ("head 9999999999.1", "cannot be read"),
        ("head -1.1", "cannot be read"),
        ("head ١.1", "cannot be read"),
        ("x" * 500, "xxx'…"),
    ],
)
def test_what_names_no_place_is_a_named_error(text, said):
    with pytest.raises(SettingError) as caught:
        sites.parse(CONFIG, text, length=LENGTH)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 500
