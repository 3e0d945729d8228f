"""Beam searches to try: toy models, prompts and settings, and the scores that settings ask for."""

import dataclasses
import functools
from collections import Counter

import numpy as np
from hypothesis import strategies as st

from npgpt.decoding._decoders import DECODERS, Search, prepare, start
from npgpt.decoding._generation import of_choices, of_hypotheses
from npgpt.decoding._language_model import batched
from npgpt.decoding._request import seed_uniforms, uniform_shape
from npgpt.decoding._scoring import guidance
from npgpt.decoding._settings import Settings
from npgpt.ops._softmax import log_softmax
from tests.helpers import slow_beams
from tests.helpers import slow_decoding as slow
from tests.helpers.toy_language_model import Toy, random_logits

SPELLING = ["a", "b", "ab", "ba", "", "c"]  # of tokens 0 to 5
PENALTIES = [-1.0, 0.0, 0.5, 1.0, 2.0]


def spell(ids):
    return "".join(SPELLING[token] for token in ids)


def in_quarters(rows, scores):
    """A user's processor that brings scores together, so that totals tie."""
    return np.round(scores * 4) / 4


@st.composite
def problems(draw, *, most_beams=4, sampling=False, groups=False, constraints=False):
    """(logits_of, prompts, settings as a dict) of searches of a few steps."""
    vocab = draw(st.integers(2, 6))
    token = st.integers(0, vocab - 1)
    prompts = draw(st.lists(st.lists(token, min_size=1, max_size=3), min_size=1, max_size=2))
    most, longest = draw(st.integers(1, 4)), max(map(len, prompts))
    s = draw(st.sampled_from([{"max_new_tokens": most}, {"max_length": longest + most}]))
    s["num_beams"] = draw(st.integers(2, most_beams))
    s["num_return_sequences"] = draw(st.integers(1, s["num_beams"]))
    s["eos_token_id"] = draw(st.lists(token, max_size=3, unique=True))
    s["length_penalty"] = draw(st.sampled_from(PENALTIES))
    s["early_stopping"] = draw(st.sampled_from([False, True, "never"]))
    s["repetition_penalty"] = draw(st.sampled_from([0.5, 1.0, 1.5]))
    s["min_new_tokens"] = draw(st.integers(0, min(2, most)))
    s["stop_strings"] = draw(st.lists(st.sampled_from(["ab", "ba", "aa", "cb"]), max_size=2))
    s["guidance_scale"] = draw(st.sampled_from([1.0, 1.0, 2.0]))
    s["logits_processor"] = draw(st.sampled_from([(), in_quarters]))
    if groups:
        s["num_beam_groups"] = draw(st.integers(2, 3))
        s["num_beams"] = s["num_beam_groups"] * draw(st.integers(1, 2))
        s["num_return_sequences"] = s["num_beams"]
        s["diversity_penalty"] = draw(st.sampled_from([0.25, 1.0, 8.0]))
    if constraints:
        s["force_words_in_prompt"] = draw(st.booleans())
        words = [t for t in range(vocab) if t not in s["eos_token_id"]] or [0]
        s["eos_token_id"] = [t for t in s["eos_token_id"] if t not in words]
        phrase = st.lists(st.sampled_from(words), min_size=1, max_size=3)
        one = st.lists(phrase, min_size=1, max_size=2)
        room = min(limit_of(s, prompt) - len(prompt) for prompt in prompts)
        short = one.filter(lambda phrases: min(map(len, phrases)) <= room)
        s["force_words_ids"] = draw(st.lists(short, min_size=1, max_size=2))
    if sampling:
        s["do_sample"] = True
        s["temperature"] = draw(st.sampled_from([0.5, 1.0, 3.0]))
        s["top_k"] = draw(st.none() | st.integers(1, 4))
    banned = draw(st.sampled_from([0.0, 0.0, 0.3, 0.7]))
    return random_logits(draw(st.integers(0, 2**32)), vocab, banned=banned), prompts, s


def limit_of(s, prompt):
    return s["max_length"] if "max_length" in s else len(prompt) + s["max_new_tokens"]


def run(logits_of, prompts, s, uniforms=None, *, toy=None, note=None, vocab_size=None):
    """The search that the settings name, over a toy model; a seed makes the uniforms."""
    settings = Settings(**s, output_scores=True)
    if settings.draws and uniforms is None:
        uniforms = some_uniforms(prompts, s)
    request = prepare(prompts, settings, uniforms, decode=spell, vocab_size=vocab_size)
    decoder = DECODERS[request.decoder]
    found = decoder.function(start(request, batched(toy or Toy(logits_of)), note=note))
    return (of_hypotheses if isinstance(decoder, Search) else of_choices)(request, found)


def some_uniforms(prompts, s, seed=0):
    longest = max(limit_of(s, prompt) - len(prompt) for prompt in prompts)
    return seed_uniforms(seed, *uniform_shape(Settings(**s), len(prompts), longest))


def plain_scores(logits_of, prompt, s):
    """scores_of for `slow_beams.search`; log_softmax and guidance are tested on their own."""

    @functools.cache
    def said(tokens):
        logits, scale = np.array([logits_of(tokens)]), s.get("guidance_scale", 1.0)
        if scale == 1:
            return log_softmax(logits)[0].tolist()
        negative = np.array([logits_of((prompt[-1], *tokens[len(prompt) :]))])
        return guidance(logits, negative, scale=scale)[0].tolist()

    def scores_of(tokens, taken):
        z = [
            z - s.get("diversity_penalty", 0) * taken[token] for token, z in enumerate(said(tokens))
        ]
        z = slow.repetition_penalty(tokens, z, s.get("repetition_penalty", 1.0))
        if len(tokens) - len(prompt) < s.get("min_new_tokens", 0):
            z = [-np.inf if t in s["eos_token_id"] else score for t, score in enumerate(z)]
        if s.get("logits_processor"):
            z = in_quarters(None, np.array(z)).tolist()
        if s.get("do_sample"):
            z = [score / s["temperature"] for score in z]
            least = 1 + len(s["eos_token_id"])
            z = slow.top_k(z, max(s["top_k"], least)) if s["top_k"] else z
        return z

    return scores_of


def plainly(logits_of, prompt, s, uniforms=None):
    """What `slow_beams` finds for one prompt: as many as are to be returned."""
    found = slow_beams.search(
        prompt,
        plain_scores(logits_of, prompt, s),
        s,
        room=limit_of(s, prompt) - len(prompt),
        spell=SPELLING,
        uniforms=uniforms,
    )
    return found[: s["num_return_sequences"]]


def assert_equal(one, other):
    """Two results are equal in every bit, the scores too."""
    for name in ("sequences", "stopped", "sequence_scores", "beam_indices", "logprobs", "prompts"):
        assert getattr(one, name) == getattr(other, name), name
    for these, those in zip(one.scores, other.scores, strict=True):
        np.testing.assert_array_equal(these, those)


def assert_rows_do_not_matter(problem, order):
    """Each prompt's results are the same alone, and among the others in another order."""
    logits_of, prompts, s = problem
    settings = Settings(**s)
    uniforms = some_uniforms(prompts, s) if settings.draws else None
    moved = [prompts[row] for row in order]
    together = run(logits_of, prompts, s, uniforms)
    shuffled = run(logits_of, moved, s, None if uniforms is None else uniforms[order])
    for place, row in enumerate(order):
        own = None if uniforms is None else uniforms[row : row + 1]
        alone = run(logits_of, [prompts[row]], s, own)
        assert_equal(rows_of(together, row), rows_of(alone, 0))
        assert_equal(rows_of(shuffled, place), rows_of(alone, 0))


def rows_of(result, prompt):
    """The rows of one prompt, which then is the first."""
    rows = [row for row, place in enumerate(result.prompts) if place == prompt]
    names = ["sequences", "stopped", "sequence_scores", "beam_indices", "logprobs", "scores"]
    picked = {name: [getattr(result, name)[row] for row in rows] for name in names}
    return dataclasses.replace(result, prompts=[0] * len(rows), **picked)


def assert_right(problem, uniforms=None):
    """The search finds what the plain one does, in every bit, and says how. Gives its decisions."""
    logits_of, prompts, s = problem
    told, toy = [], Toy(logits_of)
    result = run(logits_of, prompts, s, uniforms, toy=toy, note=told.append)
    assert_equals_plainly(result, problem, uniforms)
    asked = toy.calls if s["guidance_scale"] == 1 else toy.calls[::2]
    asked[0] = tuple(row for row in asked[0] for _ in range(s.get("num_beam_groups", 1)))
    assert_retraces(result, problem, asked, told)
    assert_ledger_explains(result, problem, told)
    return result, told


def assert_equals_plainly(result, problem, uniforms):
    logits_of, prompts, s = problem
    rows = range(len(prompts)) if uniforms is None else uniforms
    expected = [
        (at, prompt, found)
        for at, (prompt, u) in enumerate(zip(prompts, rows, strict=True))
        for found in plainly(logits_of, prompt, s, None if uniforms is None else u)
    ]
    assert result.prompts == [at for at, _, _ in expected]
    assert result.sequences == [[*prompt, *found.text.new] for _, prompt, found in expected]
    assert result.stopped == [found.stopped for _, _, found in expected]
    assert result.sequence_scores == [found.score for _, _, found in expected]
    assert result.beam_indices == [list(found.text.parents) for _, _, found in expected]


def assert_retraces(result, problem, asked, told):
    """Sums of scores, the model's log-probabilities and the beams asked about fit the results."""
    logits_of, prompts, s = problem
    going = Counter((each.row, each.step + 1) for each in told if each.beam is not None)
    going.update({(at, 0): s.get("num_beam_groups", 1) for at in range(len(prompts))})
    for row, new in enumerate(result.new_tokens):
        prompt, total = result.prompts[row], 0.0
        for at, token in enumerate(new):
            before = sum(going[earlier, at] for earlier in range(prompt))
            history = asked[at][before + result.beam_indices[row][at]]
            assert history == (*prompts[prompt], *new[:at])
            total += result.scores[row][at][token]
            assert result.logprobs[row][at] == log_softmax(np.array(logits_of(history)))[token]
        assert result.sequence_scores[row] == slow_beams.normalised(total, len(new), s)
        assert len(result.scores[row]) == len(result.beam_indices[row]) == len(new)


def assert_ledger_explains(result, problem, told):
    """From the decisions alone, the beams of each step and all that ended."""
    _, prompts, s = problem
    groups = s.get("num_beam_groups", 1)
    beams = {at: [(tuple(prompt), 0.0)] * groups for at, prompt in enumerate(prompts)}
    ended = set()
    for step in range(1 + max(decision.step for decision in told)):
        for at in beams:
            now = [each for each in told if (each.row, each.step) == (at, step)]
            going = [each.beam for each in now if each.beam is not None]
            assert going == list(range(len(going)))
            after = []
            for each in now:
                tokens, total = beams[at][each.parent]
                if each.token is not None:
                    tokens = (*tokens, each.token)
                    total += list(each.stages.values())[-1][each.token]
                assert each.total == total
                assert (each.stopped is None) == (each.beam is not None)
                if each.stopped is None:
                    after.append((tokens, total))
                else:
                    ended.add((tokens, each.stopped))
            beams[at] = after
    assert not any(beams.values())
    rows = zip(map(tuple, result.sequences), result.stopped, strict=True)
    assert set(rows) <= ended
