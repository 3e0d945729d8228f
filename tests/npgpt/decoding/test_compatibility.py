import pytest

from npgpt.decoding._compatibility import NEEDS
from npgpt.decoding._decoders import decoder
from npgpt.decoding._settings import Settings
from npgpt.errors import SettingError

SAMPLE = {"do_sample": True}


@pytest.mark.parametrize(
    ("given", "assistant", "name"),
    [
        ({}, False, "greedy"),
        ({}, True, "speculative decoding"),
        (SAMPLE, False, "sampling"),
        (SAMPLE, True, "speculative decoding"),
        ({**SAMPLE, "temperature": 0}, False, "greedy"),
        ({"prompt_lookup_num_tokens": 2}, False, "speculative decoding"),
        ({"num_beams": 2}, False, "beam search"),
        ({"num_beams": 2, **SAMPLE}, False, "beam sampling"),
        ({"num_beams": 2, **SAMPLE, "temperature": 0}, False, "beam search"),
        (
            {"num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 1},
            False,
            "diverse beam search",
        ),
        ({"num_beams": 2, "force_words_ids": [[1]]}, False, "constrained beam search"),
        ({"penalty_alpha": 0.5, "top_k": 2}, False, "contrastive search"),
    ],
    ids=str,
)
def test_the_settings_name_the_decoder(given, assistant, name):
    assert decoder(Settings(**given), assistant=assistant) == name


@pytest.mark.parametrize(
    ("need", "met", "unmet"),
    [
        ("sampling", SAMPLE, {}),
        ("contrastive search", {"penalty_alpha": 0.5, "top_k": 2}, {}),
        ("beams", {"num_beams": 2}, {}),
        (
            "groups of beams",
            {"num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 1},
            {"num_beams": 2},
        ),
        ("`force_words_ids`", {"num_beams": 2, "force_words_ids": [[1]]}, {"num_beams": 2}),
        ("`prompt_lookup_num_tokens`", {"prompt_lookup_num_tokens": 2}, {}),
        ("`eos_token_id`", {"eos_token_id": 2}, {}),
    ],
)
def test_what_settings_may_need(need, met, unmet):
    assert NEEDS[need].is_met(vars(Settings(**met)))
    assert not NEEDS[need].is_met(vars(Settings(**unmet)))


def test_each_need_is_tried():
    assert NEEDS["`assistant`"].is_met(vars(Settings()))  # no settings tell of one
    (needs,) = (m.args[1] for m in test_what_settings_may_need.pytestmark)
    assert {need for need, *_ in needs} | {"`assistant`"} == set(NEEDS)


def test_integers_have_forty_digits_at_most():
    assert Settings(max_length=10**40 - 1).max_length == 10**40 - 1
    with pytest.raises(SettingError, match="max_length is an int of over 40 digits"):
        Settings(max_length=10**40)
