"""Every decoder beside the oracle's own, written by somebody else, on problems of any settings.

Both get the very same logits. Where they decide differently, the oracle's margin tells how far a
logit must move to turn its decision; within rounding that is a tie, and ties are counted.
"""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from npgpt.decoding._decoders import DECODERS as TABLE
from npgpt.decoding._decoders import generate
from npgpt.decoding._language_model import Step
from npgpt.decoding._settings import Settings
from oracle.bounds._compare import excess
from oracle.bounds._rounding import gamma
from oracle.decoding._decoders import generate as oracle_generate
from oracle.decoding._language_model import LanguageModel
from oracle.strategies._decoding_problems import DECODERS, decoding_problems
from oracle.strategies._toy_language_models import text_of

EXAMPLES = 1000
TIES = 0.01  # of the rows at most
ROUNDINGS = 128  # of a score between the logits and a decision: generously, for sums of six tokens


class Read:
    """What a toy model has read."""

    def __init__(self, rows):
        self.rows = rows

    def select(self, places):
        return Read([self.rows[place] for place in places])


def next_step_of(toy):
    def next_step(rows, state):
        read = state.rows if state else [[]] * len(rows)
        longer = [[*old, *new] for old, new in zip(read, rows, strict=True)]
        hidden = np.array([states[-1] for states in toy.hidden_of(longer)])
        return Step(toy.logits_of(longer), hidden, Read(longer))

    return next_step


def language_model_of(toy):
    return LanguageModel(
        lambda rows: torch.from_numpy(toy.logits_of(rows)),
        lambda rows: [torch.from_numpy(states) for states in toy.hidden_of(rows)],
    )


def both(problem):
    given = problem.settings | {"output_scores": True}
    if "logits_processor" in given:  # the oracle's get plain lists of ids
        given["logits_processor"] = [
            lambda rows, scores, own=own: own([row.tokens for row in rows], scores)
            for own in given["logits_processor"]
        ]
    found = generate(
        next_step_of(problem.toy),
        problem.prompts,
        Settings(**given),
        problem.uniforms,
        decode=text_of,
        negative_prompt=problem.negative_prompts,
        assistant=problem.draft and next_step_of(problem.draft),
    )
    expected = oracle_generate(
        language_model_of(problem.toy),
        problem.prompts,
        problem.settings,
        uniforms=problem.uniforms,
        draft=problem.draft and language_model_of(problem.draft),
        negative_prompts=problem.negative_prompts,
        text_of=text_of,
    )
    return found, expected


def rounding(arrays):
    """How far rounding may move a score, where they are as large as these."""
    finite = np.abs(np.concatenate([array[np.isfinite(array)] for array in arrays]))
    return gamma(ROUNDINGS, "float64") * max(1.0, finite.max(initial=0))


def test_every_decoder_has_its_twin():
    assert set(TABLE) == set(DECODERS)


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_same_rows_for_the_same_reasons(decoder):
    count = Counter()

    @settings(max_examples=EXAMPLES)
    @given(decoding_problems(decoder))
    def compare(problem):
        found, expected = both(problem)
        assert found.decoder == decoder
        assert tuple(found.prompts) == expected.prompts
        for row, sequence in enumerate(expected.sequences):
            count["rows"] += 1
            scores = expected.scores[row].numpy()  # (generated, vocab)
            tie = min(expected.margins[row], default=np.inf) <= rounding([scores])
            kept = np.isfinite(np.array(found.scores[row] or np.empty((0, 0)), float))
            same_kept = decoder == "contrastive search" or np.array_equal(kept, np.isfinite(scores))
            if tie and (tuple(found.sequences[row]) != sequence or not same_kept):
                count["ties"] += 1
                continue
            assert tuple(found.sequences[row]) == sequence
            assert found.stopped[row] == expected.stopped[row]
            allowed = rounding([scores, np.array(expected.logprobs[row])])
            near(found.logprobs[row], expected.logprobs[row], allowed)
            if decoder != "contrastive search":  # the oracle keeps what the contrasts are made of
                near(found.scores[row] or np.empty((0, 0)), scores, allowed)
            if expected.sequence_scores is not None:
                total = len(sequence) * allowed
                near(found.sequence_scores[row], expected.sequence_scores[row], total)
                assert tuple(found.beam_indices[row]) == expected.beam_indices[row] or tie

    compare()
    assert count["rows"] > EXAMPLES
    assert count["ties"] <= TIES * count["rows"], count


def near(found, expected, allowed):
    assert excess(np.array(found, float), np.array(expected, float), allowed) <= 1
