"""Calls in turns: what is remembered of one must not be in the next one's way."""

from dataclasses import replace

import pytest

from oracle.adapters import pytorch
from oracle.adapters.claims import Claims
from oracle.conformance._catalogue import named
from oracle.conformance._explore import collect
from oracle.conformance._outcome import RIGHT, WRONG, run
from tests.helpers.broken_subjects import changed, clean

TURNS = ("model/interleaved", "model/calls in turn", "cache/interleaved")


def outcome(name, subject, **options):
    (check,) = named(name)
    return run(check, subject, shrink=False, **options)


@pytest.mark.parametrize("name", TURNS)
def test_who_remembers_nothing_is_right(name):
    assert outcome(name, clean()).verdict == RIGHT


def by_shape(config, weights):
    return tuple((name, array.shape) for name, array in weights.items()), config["n_head"]


def test_weights_remembered_by_what_two_models_share_are_seen():
    def remembering(logits):
        held = {}

        def answering(config, weights, tokens, mask):
            copies = {name: array.copy() for name, array in weights.items()}
            known = held.setdefault(by_shape(config, weights), copies)
            if {n: a.shape for n, a in known.items()} != {n: a.shape for n, a in copies.items()}:
                known = copies
            return logits(config, known, tokens, mask)

        return answering

    # Unguarded: each call of a guarded one gets copies, whose places in memory are others.
    subject = pytorch.subject()
    found = outcome("model/interleaved", replace(subject, logits=remembering(subject.logits)))
    assert found.verdict == WRONG
    assert "in turns, the logit of token" in found.says


def test_a_buffer_that_holds_the_longest_row_so_far_is_seen():
    def buffering(logits):
        longest = []

        def answering(config, weights, tokens, mask):
            longest.append(tokens.shape[1])
            found = logits(config, weights, tokens, mask)
            return found * (1.01 if tokens.shape[1] < max(longest) else 1)

        return answering

    assert outcome("model/calls in turn", changed(logits=buffering)).verdict == WRONG


def test_one_cache_for_all_texts_is_seen():
    def sharing(step):
        latest = []

        def stepping(config, weights, tokens, mask, cache):
            logits, new = step(config, weights, tokens, mask, latest[-1] if cache else None)
            latest.append(new)
            return logits, True

        return stepping

    assert outcome("cache/interleaved", changed(step=sharing)).verdict == WRONG
    assert outcome("cache/one by one", changed(step=sharing), count=10).verdict == RIGHT


def test_calls_in_turn_fit_what_is_claimed():
    narrow = replace(pytorch.subject(), claims=Claims(max_batch=1, max_n_positions=64))
    (check,) = named("model/calls in turn")
    (turns,) = collect(check.examples(narrow), 1)
    assert max(call.batch.tokens.shape for call in turns.calls) == (1, 64)
