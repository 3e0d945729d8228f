"""The facade: every decoder, from texts to texts."""

import dataclasses
import inspect

import numpy as np
import pytest

from npgpt._gpt import GPT
from npgpt.decoding._decoders import replay
from npgpt.errors import ContextLengthError, PromptError, SettingError
from npgpt.ops._softmax import log_softmax
from tests.helpers.small_gpt import CONFIG, TOKENIZER, small_gpt

GPT2 = small_gpt()
PROMPTS = ["Shall I", "a summer's day", "thee"]
DECODERS = {
    "greedy": {},
    "sampling": {"do_sample": True, "top_p": 0.9},
    "beam search": {"num_beams": 3, "no_repeat_ngram_size": 2},
    "beam sampling": {"num_beams": 3, "do_sample": True, "top_k": 20},
    "diverse beam search": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
    "constrained beam search": {"num_beams": 4, "force_words_ids": [[5, 6], [[7], [8, 9]]]},
    "contrastive search": {"penalty_alpha": 0.6, "top_k": 4},
    "speculative decoding": {"prompt_lookup_num_tokens": 3},
}
EACH = pytest.mark.parametrize(("name", "asked"), DECODERS.items(), ids=DECODERS)


def run(prompt, asked, gpt=GPT2, **more):
    seed = {"seed": 3} if asked.get("do_sample") else {}
    return gpt.generate(prompt, max_new_tokens=8, **seed, **asked, **more)


@EACH
def test_every_decoder_runs_and_says_so(name, asked):
    found = run(PROMPTS[0], asked)
    assert found.decoder == name
    assert found.prompts == [0]
    assert found.text.startswith(PROMPTS[0])
    assert found.stopped[0] in {"length", "eos"}
    assert len(found.logprobs[0]) == len(found.new_tokens[0])


@EACH
def test_a_batch_with_padding_gives_what_its_rows_give_alone(name, asked):
    if asked.get("do_sample"):
        pytest.skip("a row's uniforms go by its place")
    together = run(PROMPTS, asked)
    for place, prompt in enumerate(PROMPTS):
        assert together.sequences[place] == run(prompt, asked).sequences[0]
    ids = [TOKENIZER.encode(prompt) for prompt in PROMPTS]
    width = max(map(len, ids))
    padded = np.array([[7] * (width - len(row)) + row for row in ids])
    mask = np.array([[False] * (width - len(row)) + [True] * len(row) for row in ids])
    assert run(padded, asked, mask=mask).sequences == together.sequences


@EACH
def test_a_stream_is_the_text_in_pieces(name, asked):
    seed = {"seed": 3} if asked.get("do_sample") else {}
    pieces = list(GPT2.stream(PROMPTS[0], max_new_tokens=8, **seed, **asked))
    assert PROMPTS[0] + "".join(pieces) == run(PROMPTS[0], asked).text
    assert len(pieces) > 1


@EACH
def test_a_run_is_repeated_from_its_ledger_without_the_model(name, asked):
    found = run(PROMPTS, asked, output_ledger=True)
    again = replay(found.ledger)
    for field in ("sequences", "logprobs", "sequence_scores", "beam_indices", "stopped", "prompts"):
        assert getattr(again, field) == getattr(found, field)
    for one, other in zip(again.ledger.decisions, found.ledger.decisions, strict=True):
        assert list(one.stages) == list(other.stages)
        for stage, scores in one.stages.items():
            assert np.array_equal(scores, other.stages[stage])


def test_runs_to_the_end_of_the_context_with_guidance_or_a_draft_are_repeated_too():
    guided = GPT2.generate(PROMPTS, negative_prompt=[5, 6], guidance_scale=2.0, output_ledger=True)
    assert replay(guided.ledger).sequences == guided.sequences
    drawn = {"do_sample": True, "max_new_tokens": 6, "output_ledger": True}
    fast = GPT2.generate(PROMPTS, assistant=GPT2, **drawn)
    slow = replay(fast.ledger)
    assert slow.decoder == "sampling"
    assert slow.sequences == fast.sequences


def test_a_ledger_knows_only_what_the_model_was_asked():
    ledger = run(PROMPTS, {}, output_ledger=True).ledger
    settings = dataclasses.replace(ledger.request.settings, logit_bias={9: 100})
    other = dataclasses.replace(ledger.request, settings=settings)
    with pytest.raises(SettingError, match="replay"):
        replay(dataclasses.replace(ledger, request=other))


def test_the_parameters_of_generate_and_stream_are_the_same_but_for_the_mask():
    names = list(inspect.signature(GPT.generate).parameters)
    assert [n for n in names if n != "mask"] == list(inspect.signature(GPT.stream).parameters)


class TestReturnSequences:
    def test_drawn_ones_differ_and_the_first_is_the_only_one_of_fewer(self):
        found = GPT2.generate(
            PROMPTS, seed=3, max_new_tokens=8, do_sample=True, num_return_sequences=3
        )
        assert found.prompts == [0, 0, 0, 1, 1, 1, 2, 2, 2]
        assert len({tuple(row) for row in found.sequences}) == 9
        one = GPT2.generate(PROMPTS[0], seed=3, max_new_tokens=8, do_sample=True)
        assert found.sequences[0] == one.sequences[0]

    def test_several_beams_are_sorted_by_score(self):
        found = GPT2.generate(PROMPTS, max_new_tokens=5, num_beams=4, num_return_sequences=4)
        for place in range(3):
            scores = found.sequence_scores[4 * place : 4 * place + 4]
            assert scores == sorted(scores, reverse=True)

    def test_several_cannot_be_streamed(self):
        with pytest.raises(PromptError, match="2 rows"):
            GPT2.stream("a", max_new_tokens=2, num_beams=2, num_return_sequences=2)


class TestAssistant:
    @pytest.mark.parametrize(
        "asked",
        [{}, {"do_sample": True, "seed": 5, "temperature": 1.5}, {"guidance_scale": 2.0}],
    )
    @pytest.mark.parametrize("scale", [1.0, 0.5])
    def test_the_text_is_the_same(self, asked, scale):
        wte = GPT2.parameters.wte
        draft = dataclasses.replace(
            GPT2,
            parameters=dataclasses.replace(
                GPT2.parameters, wte=dataclasses.replace(wte, weight=wte.weight * scale)
            ),
        )
        plain = GPT2.generate(PROMPTS, max_new_tokens=9, **asked)
        fast = GPT2.generate(PROMPTS, max_new_tokens=9, assistant=draft, **asked)
        assert fast.decoder == "speculative decoding"
        assert fast.sequences == plain.sequences

    def test_another_vocabulary_is_refused(self):
        config = dataclasses.replace(CONFIG, vocab_size=CONFIG.vocab_size + 1)
        draft = dataclasses.replace(GPT2, config=config)
        with pytest.raises(
            SettingError, match=f"{CONFIG.vocab_size + 1} tokens and the model one of"
        ):
            GPT2.generate("a", assistant=draft, max_new_tokens=2)

    def test_another_tokenizer_is_refused(self):
        other = dataclasses.replace(TOKENIZER, merges=TOKENIZER.merges[:-1])
        draft = dataclasses.replace(GPT2, tokenizer=other)
        with pytest.raises(SettingError, match="tokenizer is not the model's"):
            GPT2.generate("a", assistant=draft, max_new_tokens=2)

    def test_a_shorter_context_is_refused(self):
        draft = dataclasses.replace(GPT2, config=dataclasses.replace(CONFIG, n_positions=5))
        with pytest.raises(ContextLengthError, match="holds 5"):
            GPT2.generate("a", assistant=draft, max_new_tokens=9)

    @pytest.mark.parametrize(
        "asked",
        [{"num_beams": 2}, {"penalty_alpha": 0.5, "top_k": 2}, {"prompt_lookup_num_tokens": 2}],
    )  # fmt: skip
    def test_it_does_not_go_with_everything(self, asked):
        with pytest.raises(SettingError, match="assistant"):
            GPT2.generate("a", assistant=GPT2, max_new_tokens=2, **asked)


class TestGuidance:
    def guided(self, **negative):
        asked = {"guidance_scale": 3.0, "max_new_tokens": 2, "output_scores": True}
        return [rows[0] for rows in GPT2.generate(PROMPTS, **asked, **negative).scores]

    def test_the_scores_lead_away_from_the_negative_prompt(self):
        """`log p⁻ + 3 (log p − log p⁻)`, p and p⁻ from the model itself."""
        found = self.guided(negative_prompt="day")
        against = log_softmax(GPT2.logits("day")[0, -1].astype(np.float64))
        for prompt, scores in zip(PROMPTS, found, strict=True):
            likely = log_softmax(GPT2.logits(prompt)[0, -1].astype(np.float64))
            expected = against + 3 * (likely - against)
            order = np.argsort(-expected, kind="stable")
            assert scores.argmax() == order[0]
            assert not np.array_equal(scores, likely)

    def test_one_serves_all_prompts_and_several_are_one_each(self):
        one, same = self.guided(negative_prompt="day"), self.guided(negative_prompt=["day"] * 3)
        assert np.array_equal(one, same)
        each = self.guided(negative_prompt=["day", "thee", "I"])
        assert [np.array_equal(*pair) for pair in zip(one, each, strict=True)] == [
            True,
            False,
            False,
        ]
        with pytest.raises(PromptError, match="2 negative prompts for 3"):
            self.guided(negative_prompt=["day", "thee"])

    def test_without_one_it_is_the_last_token_of_the_prompt(self):
        last = [TOKENIZER.encode(prompt)[-1:] for prompt in PROMPTS]
        assert np.array_equal(self.guided(), self.guided(negative_prompt=last))

    def test_without_guidance_it_is_refused(self):
        with pytest.raises(SettingError, match="guidance_scale"):
            GPT2.generate("a", negative_prompt="b", max_new_tokens=2)

    def test_it_counts_against_the_context(self):
        with pytest.raises(ContextLengthError, match="negative prompt of 40"):
            GPT2.generate("a", negative_prompt=[5] * 40, guidance_scale=2.0, max_new_tokens=9)


class TestOwnFunctions:
    def test_a_prefix_function_is_told_the_prompt(self):
        def allowed(prompt, tokens):
            return [10 + prompt, 20 + prompt]

        found = GPT2.generate(PROMPTS, max_new_tokens=5, prefix_allowed_tokens_fn=allowed)
        for place, row in enumerate(found.new_tokens):
            assert set(row) <= {10 + place, 20 + place}

    def test_a_processor_sees_rows_and_scores(self):
        def always_nine(rows, scores):
            assert len(rows) == len(scores)
            scores = np.full_like(scores, -np.inf)
            scores[:, 9] = 0
            return scores

        found = GPT2.generate(PROMPTS, max_new_tokens=3, logits_processor=always_nine)
        assert found.new_tokens == [[9, 9, 9]] * 3

    @pytest.mark.parametrize("beams", [{}, {"num_beams": 2}])
    def test_a_processor_cannot_write_to_the_rows(self, beams):
        def writes(rows, scores):
            for row in rows:
                assert isinstance(row.tokens, tuple)
            assert isinstance(rows, tuple)
            scores[:] = scores
            return scores

        plain = GPT2.generate(PROMPTS, max_new_tokens=4, **beams)
        own = GPT2.generate(PROMPTS, max_new_tokens=4, logits_processor=writes, **beams)
        assert own.sequences == plain.sequences

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_processor_must_give_what_can_be_compared(self, value):
        with pytest.raises(SettingError, match=rf"logits_processor\[0\] gave {value} for token 0"):
            GPT2.generate(
                "a", max_new_tokens=2, logits_processor=lambda rows, s: np.full_like(s, value)
            )


class TestBadInput:
    @pytest.mark.parametrize(
        ("prompt", "asked", "quoted"),
        [
            ("a", {"assistant": "gpt2"}, "assistant is 'gpt2'"),
            ("a", {"seed": "x"}, "seed is 'x'"),
            ("a", {"num_beams": 5000}, "num_beams is 5000"),
            ("a", {"num_beams": np.array([2, 3])}, "num_beams is array"),
            ("a", {"num_beams": 2, "force_words_ids": 5}, "force_words_ids is 5"),
            ("a", {"logit_bias": [[5, 1e30], [5, 1e30]]}, "logit_bias is 2e+30"),
            ("a", {"guidance_scale": 1e308}, "guidance_scale is 1e+308"),
            ("a", {"num_beams": 2, "length_penalty": 1e6}, "length_penalty is 1000000.0"),
            ("a", {"num_beams": 2, "do_sample": True, "temperature": 1e-300}, "is 1e-300"),
            ({"a": 1}, {}, "{'a': 1}"),
            (np.array(5), {}, "5"),
        ],
    )
    def test_it_is_quoted(self, prompt, asked, quoted):
        with pytest.raises((SettingError, PromptError)) as caught:
            GPT2.generate(prompt, max_new_tokens=2, **asked)
        assert quoted in str(caught.value)

    def test_a_ragged_mask_is_quoted(self):
        with pytest.raises(PromptError, match="mask is"):
            GPT2.generate([[1, 2], [3, 4]], mask=[[True], [True, False]], max_new_tokens=2)

    def test_a_list_in_an_array_is_taken(self):
        phrases = np.array([[5, 6]])
        found = GPT2.generate("a", num_beams=4, force_words_ids=phrases, max_new_tokens=4)
        assert found.decoder == "constrained beam search"

    def test_as_many_candidates_as_one_likes(self):
        found = GPT2.generate("a", penalty_alpha=0.5, top_k=10**19, max_new_tokens=1)
        assert found.stopped == ["length"]


def test_padded_takes_the_setting():
    found = GPT2.generate(PROMPTS, max_new_tokens=1, pad_token_id=3)
    assert found.padded().tolist() == found.padded(3).tolist() != found.padded(4).tolist()
    with pytest.raises(SettingError, match="pad_token_id is None"):
        GPT2.generate(PROMPTS, max_new_tokens=1).padded()
