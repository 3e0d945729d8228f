import pytest

from npgpt.decoding._defaults import filled, of_file
from npgpt.decoding._settings import Settings
from npgpt.errors import SettingError

SAMPLES = {"do_sample": True, "temperature": 0.8, "top_k": 40, "top_p": 0.9}
BEAMS = {"num_beams": 4, "length_penalty": 2.0, "early_stopping": True}
GROUPS = {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0}


@pytest.mark.parametrize(
    ("given", "own", "same_as"),
    [
        ({}, {}, {}),
        ({}, SAMPLES, SAMPLES),
        ({"top_k": None}, SAMPLES, {**SAMPLES, "top_k": None}),
        ({"do_sample": False}, SAMPLES, {}),
        ({"num_beams": 3}, SAMPLES, {**SAMPLES, "num_beams": 3}),
        (GROUPS, SAMPLES, GROUPS),
        ({"num_beams": 2, "force_words_ids": [[1]]}, SAMPLES,
         {"num_beams": 2, "force_words_ids": [[1]]}),
        ({"penalty_alpha": 0.5, "top_k": 3}, SAMPLES, {"penalty_alpha": 0.5, "top_k": 3}),
        ({"penalty_alpha": 0.5}, SAMPLES, {"penalty_alpha": 0.5, "top_k": 40}),
        ({}, {"penalty_alpha": 0.5, "top_k": 3}, {"penalty_alpha": 0.5, "top_k": 3}),
        ({}, BEAMS, BEAMS),
        ({"num_beams": 1}, BEAMS, {}),
        ({"num_beams": 1}, GROUPS, {}),
        ({"max_new_tokens": 5}, {"max_length": 50}, {"max_new_tokens": 5}),
        ({"max_length": 5}, {"max_new_tokens": 50}, {"max_length": 5}),
    ],
    ids=str,
)  # fmt: skip
def test_a_default_does_not_outlive_what_contradicts_it(given, own, same_as):
    assert filled(given, own) == Settings(**same_as)


@pytest.mark.parametrize(
    ("given", "own"),
    [
        ({"temperature": 0.5}, {}),
        ({"do_sample": True, "penalty_alpha": 0.5, "top_k": 3}, {}),
        ({"length_penalty": 2.0}, {}),
        ({"max_length": 5, "max_new_tokens": 5}, {}),
    ],
)
def test_what_is_given_contradicts_as_ever(given, own):
    with pytest.raises(SettingError):
        filled(given, own)


def test_what_a_file_switches_off_is_left_out():
    fields = {
        "top_k": 0,
        "no_repeat_ngram_size": 0,
        "penalty_alpha": 0.0,
        "min_p": None,
        "num_beams": 1,
        "transformers_version": "4.49.0",
    }
    assert of_file(fields) == {"num_beams": 1}
