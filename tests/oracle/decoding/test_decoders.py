"""What holds for every decoder."""

from dataclasses import replace

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from oracle.decoding._decoders import decoder_of
from oracle.decoding._pipeline import PROCESSORS
from oracle.strategies._arrays import MAX_SEED
from oracle.strategies._decoding_problems import (
    ANY_DECODER,
    DECODERS,
    decoding_problems,
    room_of,
)
from oracle.strategies._toy_language_models import build_toy
from tests.helpers.toy_decoding import (
    NARROW,
    least_margin,
    noise,
    of_toy,
    rounding,
    solve,
    whole_texts,
)

# Few ties, whatever is decoded.
CLEAR = st.builds(
    build_toy, st.just("steep"), st.integers(0, MAX_SEED), st.integers(2, 6), st.just(4)
)
# Settings that name tokens, so that renaming these would have to rename them there too.
NAMES_TOKENS = [
    *("sequence_bias", "logit_bias", "bad_words_ids", "prefix_allowed_tokens_fn", "stop_strings"),
    *("forced_bos_token_id", "forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens"),
    "logits_processor",
]
# On logits, these look at where zero is. In beams they act on log-probabilities.
MINDS_ZERO = ["repetition_penalty", "exponential_decay_length_penalty"]


any_decoder = st.sampled_from(DECODERS)
clear_problems = any_decoder.flatmap(
    lambda decoder: decoding_problems(
        decoder, toys=CLEAR, without=[] if "beam" in decoder else MINDS_ZERO
    )
)


@given(any_decoder.flatmap(decoding_problems))
def test_results_are_whole(problem):
    assert decoder_of(problem.settings, draft=problem.draft) == problem.decoder
    found = solve(problem)
    assert list(found.prompts) == sorted(found.prompts)
    assert set(found.prompts) == set(range(len(problem.prompts)))
    fields = (found.sequences, found.stopped, found.logprobs, found.scores, found.margins)
    eos = np.atleast_1d(problem.settings.get("eos_token_id", [])).tolist()
    for p, row, stopped, logprobs, scores, margins in zip(found.prompts, *fields, strict=True):
        prompt = problem.prompts[p]
        new = row[len(prompt) :]
        assert row[: len(prompt)] == prompt
        limit = len(prompt) + room_of(prompt, problem.settings)
        assert len(row) <= limit
        assert len(row) == limit or stopped not in ("length", "constraint_unmet")
        assert not set(new[:-1]) & set(eos)
        assert bool(new and new[-1] in eos) == (stopped == "eos")
        assert len(logprobs) == len(scores) == len(new)
        assert all(scores[i, v] > -np.inf for i, v in enumerate(new))
        assert all(margin >= 0 for margin in margins)
        for i, v in enumerate(new):
            own = problem.toy.logits_of([row[: len(prompt) + i]])[0][v]
            assert own == logprobs[i] or abs(own - logprobs[i]) < rounding(1)


@whole_texts
@given(any_decoder.flatmap(lambda d: decoding_problems(d, without=["prefix_allowed_tokens_fn"])))
def test_a_row_alone_is_the_row_in_any_batch(problem):
    assume(len(problem.prompts) > 1)
    found = solve(problem)
    for p in range(len(problem.prompts)):
        mine = [i for i, of in enumerate(found.prompts) if of == p]
        us, negatives = problem.uniforms, problem.negative_prompts
        if us is not None:
            per = len(us) // len(problem.prompts)
            us = us[p * per : (p + 1) * per]
        alone = solve(
            problem,
            prompts=problem.prompts[p : p + 1],
            uniforms=us,
            negative_prompts=negatives and negatives[p : p + 1],
        )
        assert alone.sequences == tuple(found.sequences[i] for i in mine)
        assert alone.stopped == tuple(found.stopped[i] for i in mine)
        assert alone.margins == tuple(found.margins[i] for i in mine)


@whole_texts
@given(clear_problems, st.integers(0, 9), st.sampled_from([-3.0, 2.0, 64.0]))
def test_what_changes_nothing(problem, seed, constant):
    """Noise within the margins; and, unless a setting looks at zero, a constant on all logits."""
    found = solve(problem)
    margin = least_margin(found)
    assume(margin > NARROW)
    toy, size = problem.toy, min(margin * (1 - NARROW), 8.0) - NARROW / 2
    noisy = of_toy(toy, moved=lambda rows: noise(rows, toy.vocab_size, size, seed))
    for model in (noisy, of_toy(toy, moved=lambda rows: constant)):
        again = solve(problem, language_model=model)
        assert again.sequences == found.sequences
        assert again.stopped == found.stopped
        assert again.beam_indices == found.beam_indices


BY_TOKEN = [decoder for decoder in DECODERS if "sampling" not in decoder]


@whole_texts
@given(
    st.sampled_from(BY_TOKEN).flatmap(
        lambda decoder: decoding_problems(decoder, without=NAMES_TOKENS, toys=CLEAR)
    )
)
def test_renaming_the_tokens_renames_them_in_the_result(problem):
    settings = dict(problem.settings)
    assume(not settings.get("do_sample"))
    found = solve(problem)
    assume(least_margin(found) > NARROW)
    new = np.random.default_rng(len(problem.prompts)).permutation(problem.toy.vocab_size).tolist()
    old = np.argsort(new).tolist()
    for name in ("eos_token_id", "force_words_ids"):
        if name in settings:
            settings[name] = _renamed(settings[name], new)
    again = solve(
        replace(problem, prompts=_rows(problem.prompts, new), settings=settings),
        language_model=of_toy(_Renamed(problem.toy, new, old)),
        draft=problem.draft and of_toy(_Renamed(problem.draft, new, old)),
        negative_prompts=problem.negative_prompts and _rows(problem.negative_prompts, new),
    )
    assert again.sequences == _rows(found.sequences, new)
    assert again.stopped == found.stopped


def _rows(rows, new):
    return tuple(tuple(new[v] for v in row) for row in rows)


def _renamed(value, new):
    return new[value] if isinstance(value, int) else [_renamed(v, new) for v in value]


class _Renamed:
    """The toy with token v called new[v]."""

    def __init__(self, toy, new, old):
        self.toy, self.new, self.old, self.vocab_size = toy, new, old, toy.vocab_size

    def logits_of(self, rows):
        return self.toy.logits_of(_rows(rows, self.old))[:, self.old]

    def hidden_of(self, rows):
        return self.toy.hidden_of(_rows(rows, self.old))


def test_every_setting_of_any_decoder_is_in_the_pipeline_or_ends_rows():
    beside = {"guidance_scale", "logits_processor", "stop_strings", "eos_token_id", "max_length"}
    assert set(ANY_DECODER) == set(PROCESSORS) - {"diversity_penalty"} | beside
