"""Places as short texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.audit import places
from npgpt.config import Config
from npgpt.errors import SettingError
from npgpt.trace import NAMES, OUTSIDE_BLOCKS

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
    found = places.read(CONFIG, text, length=LENGTH)
    assert found == places.place(CONFIG, name, layer, **at)


def test_short_names():
    texts = ("head 1.2", "head 0.1@-5", "neuron 1.23@4", "mlp 1", "mlp 0@-1", "attn 0")
    assert [places.read(CONFIG, text, length=LENGTH) for text in texts] == [
        places.head(CONFIG, 1, 2),
        places.head(CONFIG, 0, 1, position=0),
        places.neuron(CONFIG, 1, 23, position=4),
        places.mlp(CONFIG, 1),
        places.mlp(CONFIG, 0, position=4),
        places.place(CONFIG, "attn_out", 0),
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
        ("zzz 1", "the names are head, neuron, attn, mlp, token_embedding"),
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
        places.read(CONFIG, text, length=LENGTH)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 500
