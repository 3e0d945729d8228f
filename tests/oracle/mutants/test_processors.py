import pytest

from oracle.conformance._checks.processors import CHECKS
from oracle.mutants import _processors as own
from oracle.mutants import _published_processors as published
from oracle.strategies._scores import PROCESSED
from tests.helpers.decoding_subject import kills, meant_for

MUTANTS = (*own.MUTANTS, *published.MUTANTS)
# Which check is meant for which bugs: those whose ids begin so, the first that fits.
MEANT = {
    **{f"ignores-{name.replace('_', '-')}": name for name in PROCESSED},
    "top-p-before": "order",
    "top-p-unnormalised": "order",
    "ban-": "suppress_tokens",
    "top-p": "top_p",
    "top-k": "top_k",
    "top-h": "top_h",
    "min-p": "min_p",
    "typical": "typical_p",
    "epsilon": "epsilon_cutoff",
    "eta": "eta_cutoff",
    "fill-tiny": "top_k",
    "probabilities-as-logits": "temperature",
    "temperature-after": "order",
    "temperature": "temperature",
    "repetition": "repetition_penalty",
    "frequency": "frequency_penalty",
    "presence": "presence_penalty",
    "ngram": "no_repeat_ngram_size",
    "bad-words": "bad_words_ids",
    "sequence-bias": "sequence_bias",
    "logit-bias": "logit_bias",
    "min-new": "min_new_tokens",
    "min-length": "min_length",
    "forced-eos": "forced_eos_token_id",
    "forced-bos": "forced_bos_token_id",
    "begin-suppress": "begin_suppress_tokens",
    "suppress": "suppress_tokens",
    "decay": "exponential_decay_length_penalty",
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_its_check_kills_it(mutant):
    check = meant_for(mutant, CHECKS, MEANT)
    assert mutant.area == check.area
    assert kills(check, mutant)


def test_each_is_described():
    assert len({mutant.id for mutant in MUTANTS}) == len(MUTANTS)
    assert len({mutant.bug for mutant in MUTANTS}) == len(MUTANTS)
    assert all(mutant.bug and "\n" not in mutant.bug for mutant in MUTANTS)
