"""Decoders at real sizes, and stop strings in pieces: wrong ones of the issue are told."""

from dataclasses import replace

import pytest

from oracle.adapters import npgpt
from oracle.adapters.guard import guarded
from oracle.conformance._checks.decoders_borders import CHECKS, cases_for
from oracle.conformance._decoder_verdicts import reference, settled
from oracle.conformance._outcome import NOT_OFFERED, RIGHT, WRONG, run
from oracle.strategies._border_decoding import DECODING_CASES, HALVES, WORDS
from oracle.strategies._decoding_problems import DECODERS
from tests.helpers.decoding_subject import ORACLE, rounded

NAMED = {check.name.partition("/")[2]: check for check in CHECKS}
every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)


def wrong(generate):
    return guarded(replace(ORACLE, dtype="float32", generate=generate))


@every_check
def test_right_decoders_pass(check):
    assert run(check, wrong(ORACLE.generate), count=1).verdict == RIGHT
    assert run(check, wrong(rounded), count=1).verdict == RIGHT
    assert run(check, guarded(npgpt.subject()), count=1).verdict == RIGHT


def test_every_case_can_be_decided():
    for case in DECODING_CASES:
        assert any(settled("float32", case.problem(seed)) for seed in range(40)), case.label


def test_the_sizes_of_the_issue_are_all_there():
    beams = {case.settings.get("num_beams") for case in DECODING_CASES}
    assert {1, 2, 16, 33} <= beams
    assert {200, 50257} <= {case.vocab for case in DECODING_CASES if case.decoder == "sampling"}
    assert max(max(case.lengths) for case in DECODING_CASES) == 1000
    assert {len(piece) for piece in WORDS} == {1, 2, 3}
    assert b"".join(HALVES).decode() == "xéy€zw"


def test_each_stop_string_ends_its_row_before_the_script_does():
    for case in DECODING_CASES:
        if "stop_strings" in case.settings:
            assert set(reference(case.problem(0)).stopped) == {"stop_string"}, case.label


def test_only_what_is_known_is_asked():
    few = replace(ORACLE, decoders=("greedy",), settings=())
    assert {case.label for case in cases_for(few, "greedy")} == {
        "vocabulary of 50257",
    }
    assert run(NAMED["sampling-wide"], few).verdict == NOT_OFFERED
    assert list(NAMED) == [f"{decoder.replace(' ', '-')}-wide" for decoder in DECODERS]


def seen_at_the_end_only(next_logits, prompts, settings, uniforms, *, text_of=None, **more):
    """A text whose end is no stop string goes on: shown to the decoder as a text without any."""

    def ending(tokens):
        text = text_of(tokens)
        stops = settings["stop_strings"]
        return text if any(text.endswith(stop) for stop in stops) else ""

    return ORACLE.generate(
        next_logits, prompts, settings, uniforms, text_of=text_of and ending, **more
    )


def piece_by_piece(next_logits, prompts, settings, uniforms, *, text_of=None, **more):
    """Each token is decoded alone, which breaks characters of several."""
    return ORACLE.generate(
        next_logits,
        prompts,
        settings,
        uniforms,
        text_of=text_of and (lambda tokens: "".join(text_of([token]) for token in tokens)),
        **more,
    )


def waiting(next_logits, prompts, settings, uniforms, *, text_of=None, **more):
    least = settings.get("min_new_tokens", 0)
    return ORACLE.generate(
        next_logits,
        prompts,
        settings,
        uniforms,
        text_of=text_of and (lambda tokens: text_of(tokens) if len(tokens) >= least else ""),
        **more,
    )


def likeliest_50(next_logits, prompts, settings, uniforms, **more):
    asked = {"top_k": 50, **settings} if settings.get("do_sample") else settings
    return ORACLE.generate(next_logits, prompts, asked, uniforms, **more)


def greedy_at_1(next_logits, prompts, settings, uniforms, **more):
    asked = settings | ({"top_k": 1} if settings.get("top_p") == 1 else {})
    return ORACLE.generate(next_logits, prompts, asked, uniforms, **more)


def bias_after_temperature(next_logits, prompts, settings, uniforms, **more):
    asked, heat = dict(settings), settings.get("temperature", 1)
    for name in {"frequency_penalty", "presence_penalty"} & set(asked):
        asked[name] *= heat
    if "logit_bias" in asked:
        asked["logit_bias"] = {i: bias * heat for i, bias in asked["logit_bias"].items()}
    return ORACLE.generate(next_logits, prompts, asked, uniforms, **more)


def pairs_of_copies(next_logits, prompts, settings, uniforms, **more):
    if settings.get("num_return_sequences", 1) > 1 and uniforms is not None:
        uniforms = uniforms.copy()
        uniforms[1::2] = uniforms[: len(uniforms) // 2 * 2 : 2]
    return ORACLE.generate(next_logits, prompts, settings, uniforms, **more)


@pytest.mark.parametrize(
    ("generate", "check", "says"),
    [
        (seen_at_the_end_only, "greedy-wide", "a stop string ends inside a piece"),
        (seen_at_the_end_only, "sampling-wide", "a stop string ends inside a piece"),
        (piece_by_piece, "greedy-wide", "a stop string is a character in halves"),
        (waiting, "greedy-wide", "a stop string before the minimum"),
        (waiting, "sampling-wide", "a stop string before the minimum"),
        (likeliest_50, "sampling-wide", "vocabulary of 200"),
        (greedy_at_1, "sampling-wide", "top_p of 1 over 6"),
        (bias_after_temperature, "sampling-wide", "biases before the temperature"),
        (pairs_of_copies, "sampling-wide", "copies"),
    ],
)
def test_a_bug_of_the_issue_is_wrong_and_its_size_is_said(generate, check, says):
    outcome = run(NAMED[check], wrong(generate))
    assert outcome.verdict == WRONG
    assert says in outcome.says
