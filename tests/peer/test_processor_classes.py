"""Each processor beside transformers' class of it, on the same scores: what stays, and its value.

A filter that keeps more tokens the larger (or smaller) its parameter may keep what npgpt's keeps
with a parameter that is off by rounding, and nothing else.
"""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from npgpt.decoding._processors import (
    entropy_filters,
    filters,
    forced,
    lengths,
    ngrams,
    penalties,
    phrases,
    vocabulary,
)
from npgpt.decoding._processors.custom import prefix_allowed
from npgpt.decoding._scoring import Row
from oracle.bounds._rounding import gamma
from oracle.strategies._arrays import MAX_SEED, build_array
from tests.helpers.transformers_gpt2 import transformers

VOCAB = 12
KIT = transformers.generation.logits_process
ROUNDINGS = 4
ids = st.integers(0, VOCAB - 1)
some_ids = st.lists(ids, min_size=1, max_size=3, unique=True)


@st.composite
def problems(draw, *, kinds=("ordinary", "integers", "heavy_tailed")):
    """Rows of one length after prompts of one length, and scores in float32."""
    count, prompt = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    length = prompt + draw(st.integers(0, 6))
    tokens = draw(
        st.lists(
            st.lists(st.integers(0, 4), min_size=length, max_size=length),
            min_size=count,
            max_size=count,
        )
    )
    scores = build_array(
        draw(st.sampled_from(kinds)), draw(st.integers(0, MAX_SEED)), (count, VOCAB)
    )
    return [Row(row, prompt, prompt=index) for index, row in enumerate(tokens)], scores


def run(processor, rows, scores) -> np.ndarray:
    """What a processor of theirs makes of the scores."""
    tokens = torch.tensor([list(row.tokens) for row in rows])
    return processor(tokens, torch.from_numpy(scores.copy())).numpy()


def assert_equal_but_for_rounding(found, wanted, scores, *, factor=1.0) -> None:
    assert ((found > -np.inf) == (wanted > -np.inf)).all()
    finite = wanted > -np.inf
    largest = np.maximum(np.abs(scores), np.abs(wanted))[finite]
    limit = factor * gamma(ROUNDINGS, "float32") * largest
    assert (np.abs(found[finite].astype(np.float64) - wanted[finite]) <= limit).all()


@given(problems(), st.sampled_from([0.3, 0.99, 1.2, 2.5]))
def test_repetition_penalty(problem, penalty):
    rows, scores = problem
    wanted = run(KIT.RepetitionPenaltyLogitsProcessor(penalty), rows, scores)
    found = penalties.repetition_penalty(rows, scores, penalty=penalty)
    assert_equal_but_for_rounding(found, wanted, scores)


@given(problems(), st.integers(1, 4))
def test_no_repeat_ngram(problem, size):
    rows, scores = problem
    wanted = run(KIT.NoRepeatNGramLogitsProcessor(size), rows, scores)
    assert np.array_equal(ngrams.no_repeat_ngram(rows, scores, size=size), wanted)


few_phrases = st.lists(
    st.lists(st.integers(0, 4), min_size=1, max_size=3), min_size=1, max_size=4, unique_by=tuple
)


@given(problems(), few_phrases, st.data())
def test_sequence_bias(problem, sequences, data):
    """A sum of several biases is rounded in one order by us, in another by them."""
    rows, scores = problem
    amounts = data.draw(st.lists(st.sampled_from([-3.0, -0.1, 0.7, 10.0]), min_size=4, max_size=4))
    biases = list(zip(map(tuple, sequences), amounts, strict=False))
    # 4.49 leaves out a phrase longer than the row, though only its last token is missing.
    biases = [(sequence, bias) for sequence, bias in biases if len(sequence) <= _length(rows)]
    assume(biases)
    wanted = run(KIT.SequenceBiasLogitsProcessor(dict(biases)), rows, scores)
    found = phrases.sequence_bias(rows, scores, biases=biases)
    total = np.full_like(scores, sum(map(abs, amounts)))
    assert_equal_but_for_rounding(found, wanted, np.abs(scores) + total)


@given(problems(), few_phrases)
def test_bad_words(problem, sequences):
    rows, scores = problem
    sequences = [sequence for sequence in sequences if len(sequence) <= _length(rows)]
    assume(sequences)
    wanted = run(KIT.NoBadWordsLogitsProcessor([list(s) for s in sequences]), rows, scores)
    assert np.array_equal(phrases.bad_words(rows, scores, phrases=[*map(tuple, sequences)]), wanted)


def _length(rows) -> int:
    return len(rows[0].tokens)


@given(problems(), st.integers(0, 12), some_ids)
def test_minima(problem, least, eos):
    rows, scores = problem
    if least:
        wanted = run(KIT.MinLengthLogitsProcessor(least, torch.tensor(eos)), rows, scores)
        found = lengths.min_length(rows, scores, length=least, eos_token_ids=eos)
        assert np.array_equal(found, wanted)
    new = KIT.MinNewTokensLengthLogitsProcessor(rows[0].prompt_length, least, torch.tensor(eos))
    found = lengths.min_new_tokens(rows, scores, count=least, eos_token_ids=eos)
    assert np.array_equal(found, run(new, rows, scores))


@given(problems(), st.integers(0, 4), st.sampled_from([0.5, 1.05, 2.0]), some_ids)
def test_exponential_decay(problem, start, factor, eos):
    rows, scores = problem
    given = (start, factor), torch.tensor(eos), rows[0].prompt_length
    wanted = run(KIT.ExponentialDecayLengthPenalty(*given), rows, scores)
    found = lengths.exponential_decay(rows, scores, start=start, factor=factor, eos_token_ids=eos)
    # The power is rounded to float32 there; times |s|, it is as large as the result and |s|.
    assert_equal_but_for_rounding(found, wanted, np.abs(scores) + np.abs(wanted))


@given(problems(), some_ids, st.integers(0, 8))
def test_forced_and_suppressed(problem, tokens, left):
    rows, scores = problem
    limit = _length(rows) + 1 + left
    rows = [row._replace(limit=limit) for row in rows]
    wanted = run(KIT.ForcedEOSTokenLogitsProcessor(limit, tokens), rows, scores)
    assert np.array_equal(forced.forced_eos(rows, scores, tokens=tokens), wanted)
    wanted = run(KIT.SuppressTokensLogitsProcessor(tokens), rows, scores)
    assert np.array_equal(vocabulary.suppress(scores, tokens=tokens), wanted)
    begin = KIT.SuppressTokensAtBeginLogitsProcessor(tokens, rows[0].prompt_length)
    found = vocabulary.begin_suppress(rows, scores, tokens=tokens)
    assert np.array_equal(found, run(begin, rows, scores))
    if rows[0].prompt_length == 1:
        wanted = run(KIT.ForcedBOSTokenLogitsProcessor(tokens[0]), rows, scores)
        assert np.array_equal(forced.forced_bos(rows, scores, token=tokens[0]), wanted)


@given(problems(), some_ids)
def test_prefix_allowed_tokens(problem, tokens):
    rows, scores = problem

    def function(prompt, row):
        return tokens[: 1 + (prompt + int(row[-1])) % len(tokens)]

    wanted = run(KIT.PrefixConstrainedLogitsProcessor(function, 1), rows, scores)
    assert np.array_equal(prefix_allowed(rows, scores, function=function), wanted)


@given(problems(), st.sampled_from([0.01, 0.7, 3.0]))
def test_temperature(problem, value):
    rows, scores = problem
    wanted = run(KIT.TemperatureLogitsWarper(value), rows, scores)
    found = filters.temperature(scores, value=value)
    assert_equal_but_for_rounding(found, wanted, scores)


@given(problems(), st.integers(1, VOCAB + 3), st.integers(1, 4))
def test_top_k(problem, k, least):
    rows, scores = problem
    wanted = run(KIT.TopKLogitsWarper(k, min_tokens_to_keep=least), rows, scores)
    assert np.array_equal(filters.top_k(scores, k=k, min_tokens_to_keep=least), wanted)


# Name of theirs, npgpt's function and its parameter, and whether a larger one keeps more.
MASSES = st.sampled_from([0.05, 0.3, 0.5, 0.77, 0.95])
CUTS = st.sampled_from([0.003, 0.04, 0.15, 0.4])
SANDWICHED = {
    "TopPLogitsWarper": (filters.top_p, "p", MASSES, 1),
    "TypicalLogitsWarper": (entropy_filters.typical_p, "mass", MASSES, 1),
    "MinPLogitsWarper": (filters.min_p, "share", CUTS, -1),
    "EpsilonLogitsWarper": (filters.epsilon_cutoff, "epsilon", CUTS, -1),
    "EtaLogitsWarper": (entropy_filters.eta_cutoff, "epsilon", CUTS, -1),
}
# Sums of as many terms as there are tokens, in float32; an entropy has two.
OFF = gamma(4 * VOCAB, "float32")


@pytest.mark.parametrize("name", SANDWICHED)
def test_filters_by_probability(name):
    """Scores are distinct: among equals theirs has another order (test_processor_differences)."""
    function, parameter, values, direction = SANDWICHED[name]
    loose = []

    # Among probabilities that underflow, min_p of version 5 keeps any.
    kinds = ("ordinary",) if name == "MinPLogitsWarper" else ("ordinary", "heavy_tailed")

    @given(problems(kinds=kinds), values, st.integers(1, 3))
    def agrees(problem, value, least):
        rows, scores = problem
        theirs = getattr(KIT, name)(value, min_tokens_to_keep=least)
        wanted = run(theirs, rows, scores) > -np.inf

        def kept(off):
            chosen = {parameter: value + direction * off, "min_tokens_to_keep": least}
            return function(scores, **chosen) > -np.inf

        assert (kept(-OFF) <= wanted).all()
        assert (wanted <= kept(OFF)).all()
        loose.append((kept(-OFF) != kept(OFF)).any())

    agrees()
    assert sum(loose) <= len(loose) // 100
