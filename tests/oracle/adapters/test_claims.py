"""Claims: read, checked, and what a configuration becomes within them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.adapters.claims import EVERYTHING, FLAGS, HEADS, Claims, as_plain, read_claims
from oracle.adapters.subject import NoSubject, Subject, as_subject
from oracle.conformance._model_examples import RELEASED
from oracle.strategies._configs import ACTIVATIONS, EPSILONS, configs
from oracle.strategies._tokens import PADDINGS


def some_of(values):
    return st.none() | st.lists(st.sampled_from(values), min_size=1, unique=True)


claims = st.builds(
    Claims,
    activation_functions=some_of(ACTIVATIONS),
    flags=st.none() | st.lists(st.sampled_from(FLAGS), unique=True),
    epsilons=some_of([*EPSILONS, 1e-8, 0.5]),
    heads=some_of(HEADS),
    padding=st.none() | st.sampled_from(["none", "left", "right", "any", "stripped"]),
    max_batch=st.none() | st.integers(1, 3),
    max_n_positions=st.none() | st.integers(1, 5),
    vocab_multiple_of=st.sampled_from([1, 2, 64]),
    embd_multiple_of=st.sampled_from([1, 2, 12, 64]),
    head_dims=some_of([3, 64, 80]),
    min_n_layer=st.integers(0, 2),
)


@given(claims, configs())
def test_a_configuration_is_moved_within_the_claims_once(claimed, config):
    moved = claimed.nearest(config)
    assert moved.keys() == config.keys()
    assert claimed.nearest(moved) == moved
    assert moved["n_embd"] % moved["n_head"] == 0
    assert moved["n_embd"] % claimed.embd_multiple_of == 0
    assert moved["vocab_size"] % claimed.vocab_multiple_of == 0
    assert moved["n_layer"] >= claimed.min_n_layer
    assert moved["n_positions"] <= (claimed.max_n_positions or moved["n_positions"])
    allowed = {
        "activation_function": claimed.activation_functions,
        "layer_norm_epsilon": claimed.epsilons,
        "tie_word_embeddings": claimed.heads and [head == "tied" for head in claimed.heads],
    }
    for name, values in allowed.items():
        assert values is None or moved[name] in values
    if claimed.head_dims:
        assert moved["n_embd"] // moved["n_head"] in claimed.head_dims
    for name in FLAGS:
        assert claimed.flags is None or name in claimed.flags or moved[name] == RELEASED[name]


@given(configs())
def test_who_claims_everything_is_asked_everything(config):
    assert EVERYTHING.nearest(config) == config
    assert EVERYTHING.paddings(PADDINGS) == PADDINGS
    assert EVERYTHING.left_out() == ()


@given(claims)
def test_claims_go_through_json(claimed):
    assert read_claims(json.loads(json.dumps(as_plain(claimed)))) == claimed


@pytest.mark.parametrize(
    ("padding", "placements"),
    [
        ("none", ("none",)),
        ("left", ("none", "left")),
        (["left", "right"], ("none", "left", "right")),
        ("any", PADDINGS),
        ("stripped", ("none",)),
    ],
)
def test_padding_is_where_it_is_claimed(padding, placements):
    assert Claims(padding=padding).paddings(PADDINGS) == placements


def test_who_takes_no_mask_is_given_no_padding():
    assert Claims(mask=False).paddings(PADDINGS) == ("none",)
    assert "a mask" in Claims(mask=False).left_out()


def test_who_fixes_its_context_is_given_that():
    assert Claims(n_positions=64).nearest({"n_positions": 3}) == {"n_positions": 64}


def test_all_that_is_not_claimed_is_listed():
    llm_c = Claims(
        activation_functions=["gelu_new"],
        flags=[],
        epsilons=[1e-5],
        heads=["tied"],
        padding="none",
        mask=False,
        max_batch=1,
        n_positions=64,
        vocab_multiple_of=64,
        head_dims=[64],
        min_n_layer=1,
        decoders=["greedy"],
    )
    said = "; ".join(llm_c.left_out())
    for words in (
        "activation functions gelu, relu, silu",
        "switches n_inner, scale_attn_weights",
        "epsilons but 1e-05",
        "untied heads",
        "padding",
        "batches of more than 1",
        "n_positions but 64",
        "vocabularies that are no multiple of 64",
        "head_dim but 64",
        "fewer layers than 1",
        "decoders sampling",
    ):
        assert words in said


BAD = [
    ({"colour": 3}, "'colour' is no claim; they are activation_functions, flags"),
    (3, "3 is no dict"),
    ({"heads": []}, "heads is an empty list; leave it out to claim everything"),
    ({"heads": "tied"}, "heads is 'tied'; expected a list"),
    ({"heads": ["tide"]}, "heads has 'tide'; expected some of tied, untied"),
    ({"heads": [[1]]}, r"heads has \[1\]; expected some of"),
    ({"activation_functions": ["gelu_old"]}, "has 'gelu_old'; expected some of gelu_new, gelu,"),
    ({"padding": "top"}, "padding has 'top'; expected some of none, left, right, any, stripped"),
    ({"padding": ["stripped", "left"]}, 'padding is "stripped" and more'),
    ({"padding": "left", "mask": False}, "padding is left, but no mask is taken"),
    ({"mask": 1}, "mask is 1; expected True or False"),
    ({"max_batch": 0}, "max_batch is 0, within which nothing can be drawn; give 1 or more"),
    ({"n_positions": 2.5}, "n_positions is 2.5; expected a whole number"),
    ({"n_positions": 8, "max_n_positions": 9}, "n_positions is 8 and max_n_positions 9"),
    ({"epsilons": [0]}, "epsilons has 0; expected numbers above 0"),
    ({"head_dims": [0]}, "head_dims is 0, within which nothing can be drawn"),
    ({"min_n_layer": -1}, "min_n_layer is -1, within which nothing"),
    ({"settings": [3]}, "settings has 3; expected names"),
    ({"dtypes": ["float16"]}, "dtypes are float16, but its dtype is float32"),
    ({"decoders": ["greedy"]}, "decoders are greedy, but it offers no generate"),
    ({"settings": ["top_p"]}, "settings has top_p, which is not among the settings"),
]


@pytest.mark.parametrize(("claimed", "says"), BAD)
def test_claims_that_contradict_themselves_or_the_offer_are_one_line(claimed, says):
    with pytest.raises(NoSubject, match=says) as caught:
        as_subject({"logits": abs, "settings": ["top_k"], "claims": claimed}, name="mine")
    assert str(caught.value).startswith("claims of mine: ")
    assert "\n" not in str(caught.value)


def test_decoders_and_settings_that_are_not_claimed_are_taken_away():
    offer = {"generate": abs, "decoders": ["greedy", "sampling"], "settings": ["top_k", "top_p"]}
    claimed = {"decoders": ["greedy"], "settings": ["top_k"]}
    subject = as_subject(offer | {"claims": claimed}, name="mine")
    assert (subject.decoders, subject.settings) == (("greedy",), ("top_k",))
    whole = Subject("mine", generate=abs, decoders=["greedy"], claims=Claims(decoders=["greedy"]))
    assert as_subject(whole, name="mine").decoders == ["greedy"]
