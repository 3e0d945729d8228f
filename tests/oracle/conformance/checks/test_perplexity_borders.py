"""Perplexity of long rows: right ones pass, and what is lost at a window's end is told."""

from dataclasses import replace

from oracle import perplexity
from oracle.adapters import npgpt, pytorch
from oracle.adapters.claims import Claims
from oracle.adapters.guard import guarded
from oracle.conformance._checks.perplexity_borders import CHECKS, SIZES
from oracle.conformance._explore import collect
from oracle.conformance._outcome import RIGHT, WRONG, run
from oracle.strategies._borders import borders

(CHECK,) = CHECKS


def test_right_ones_pass():
    for subject in (npgpt.subject(), pytorch.subject(dtype="bfloat16")):
        assert run(CHECK, guarded(subject)).verdict == RIGHT


def test_strides_and_contexts_are_about_powers_of_two():
    assert {16, 17, 33, 64, 65, 129, 257} <= set(borders()) & {size[0] for size in SIZES}
    assert all(stride <= n_positions <= length for n_positions, stride, length in SIZES)


def test_a_row_cut_at_512_tokens_is_told():
    clean = pytorch.subject()

    def cut(config, weights, tokens, stride):
        return clean.perplexity(config, weights, tokens[:512], stride)

    outcome = run(CHECK, replace(clean, perplexity=cut))
    assert outcome.verdict == WRONG
    assert "600 tokens" in outcome.says


def test_a_context_that_is_claimed_is_the_only_one_asked():
    (example,) = collect(
        CHECK.examples(replace(pytorch.subject(), claims=Claims(n_positions=64))), 1
    )
    assert {case.config["n_positions"] for _, case in example.cases} == {64}
    assert perplexity.windows(130, 64, 64)[-1].stop == 129
