"""Decoders of one beam on random models, beside `generate` of transformers: tokens and scores."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.helpers.beside_transformers import (
    Found,
    assert_same_scores,
    feed,
    ours,
    theirs,
    tiny,
    verdict,
)
from tests.helpers.decision_verdicts import MATCH, MISMATCH, few_ties
from tests.helpers.shared_settings import MODELS, filters, prompts, settings_for
from tests.helpers.transformers_gpt2 import VERSION

EXAMPLES = 50
# transformers sets a flag at odds with the others, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:.*generation flags:UserWarning")
models = st.integers(0, MODELS - 1).map(tiny)


def judged(verdicts, pair, run, wanted, asked) -> None:
    """Counts what becomes of the tokens, and of each filtered set; scores must be equal."""
    found = verdict(pair, lambda gpt: run(gpt).new, wanted.new)
    assert found != MISMATCH, (wanted.new, run(pair.gpt()).new)
    verdicts[found] += 1
    if found == MATCH:
        other_sets = assert_same_scores(run(pair.gpt()), wanted, pair, asked)
        verdicts["tie"] += other_sets
        verdicts[MATCH] += sum(map(len, wanted.new)) - other_sets


def test_greedy():
    verdicts = Counter()

    @settings(max_examples=EXAMPLES, database=None)
    @given(st.data())
    def agrees(data):
        pair, rows = data.draw(models), data.draw(prompts())
        asked = data.draw(settings_for(rows, guidance=True))
        wanted = theirs(pair, rows, **asked)
        judged(verdicts, pair, lambda gpt: ours(gpt, rows, **asked), wanted, asked)

    agrees()
    assert few_ties(verdicts), verdicts


def test_sampling_draw_for_draw():
    """torch.multinomial is fed npgpt's uniforms."""
    verdicts = Counter()

    @settings(max_examples=EXAMPLES, database=None)
    @given(st.data())
    def agrees(data):
        pair, rows = data.draw(models), data.draw(prompts(most=2))
        asked = data.draw(settings_for(rows, guidance=True)) | data.draw(filters())
        copies = data.draw(st.integers(1, 2)) if "guidance_scale" not in asked else 1
        asked |= {"do_sample": True, "num_return_sequences": copies}
        seed = data.draw(st.integers(0, 2**32 - 1))
        shape = len(rows) * copies, asked["max_new_tokens"]
        uniforms = np.random.default_rng(seed).random(shape)
        with pytest.MonkeyPatch.context() as patch:
            feed(patch, uniforms)
            wanted = theirs(pair, rows, **asked)
        judged(
            verdicts, pair, lambda gpt: ours(gpt, rows, uniforms=uniforms, **asked), wanted, asked
        )

    agrees()
    assert few_ties(verdicts), verdicts


@pytest.mark.parametrize("proposer", ["draft model", "prompt lookup"])
def test_speculative_decoding(proposer):
    """Greedy, one row at a time, as theirs is; npgpt's whole batch at once."""
    verdicts = Counter()

    @settings(max_examples=EXAMPLES, database=None)
    @given(st.data())
    def agrees(data):
        pair, draft = data.draw(models), data.draw(models)
        rows = data.draw(prompts())
        rows = [row * data.draw(st.integers(1, 2)) + row[-1:] for row in rows]
        asked = data.draw(settings_for([row[:1] * 9 for row in rows]))
        asked.pop("min_length", None)
        given_ours, given_theirs = {}, {}
        if proposer == "draft model":
            given_ours["assistant"], given_theirs["assistant_model"] = draft.gpt(), draft.model
        else:
            count, longest = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 3))
            given_ours["prompt_lookup_num_tokens"] = count
            given_ours["max_matching_ngram_size"] = longest
            given_theirs |= given_ours
        if VERSION[0] == 4:
            # 4.49 can do no other; see test_decoder_differences.
            eos = asked["eos_token_id"] or []
            assume(not {row[-1] for row in rows} & set(eos))
            assume(eos or proposer == "draft model")
        each = [theirs(pair, [row], **asked, **given_theirs) for row in rows]
        # Prompt lookup of 4.49 goes past the limit.
        most = slice(asked["max_new_tokens"])
        wanted = Found(
            tuple(one.new[0][most] for one in each),
            None,
            tuple(one.scores[0][most] for one in each),
            max(one.largest for one in each),
        )

        def run(gpt):
            return ours(gpt, rows, **asked, **given_ours)

        assert run(pair.gpt()).new == ours(pair.gpt(), rows, **asked).new
        judged(verdicts, pair, run, wanted, asked)

    agrees()
    assert few_ties(verdicts), verdicts


@pytest.mark.skipif(VERSION[0] > 4, reason="version 5 has dropped contrastive search")
def test_contrastive_search():
    """Tokens alone: npgpt's scores are the contrasts, theirs the logits."""
    verdicts = Counter()

    @settings(max_examples=EXAMPLES, database=None)
    @given(st.data())
    def agrees(data):
        pair, rows = data.draw(models), data.draw(prompts())
        asked = data.draw(settings_for(rows))
        asked |= {
            "penalty_alpha": data.draw(st.sampled_from([0.1, 0.4, 0.6, 0.9])),
            "top_k": data.draw(st.integers(2, 6)),
        }
        wanted = theirs(pair, rows, **asked)
        found = verdict(pair, lambda gpt: ours(gpt, rows, **asked).new, wanted.new)
        assert found != MISMATCH, (wanted.new, ours(pair.gpt(), rows, **asked).new)
        verdicts[found] += 1

    agrees()
    assert few_ties(verdicts), verdicts
