import pytest

from npgpt.decoding._decoders import decoder
from npgpt.decoding._settings import Settings

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
