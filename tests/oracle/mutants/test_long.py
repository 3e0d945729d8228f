"""Size mutants of all but whole models: each is seen by its check, which says at what size."""

import functools

import pytest

from oracle.adapters import pytorch
from oracle.conformance._catalogue import named
from oracle.conformance._check import MATCH, MISMATCH
from oracle.conformance._explore import collect
from oracle.conformance._outcome import look
from oracle.conformance._power import mutated
from oracle.mutants import _long_decoders as decoders
from oracle.mutants import _long_perplexity as perplexity
from oracle.mutants import _long_processors as processors
from oracle.mutants import _long_tokenizer as tokenizer
from oracle.mutants import _wide_ops as ops

MUTANTS = (
    *ops.MUTANTS,
    *processors.MUTANTS,
    *decoders.MUTANTS,
    *tokenizer.MUTANTS,
    *perplexity.MUTANTS,
)
# Which check is meant for which bugs: those whose ids begin so, the first that fits.
MEANT = {
    "activation": "ops/gelu_new-wide",
    "linear": "ops/linear-wide",
    "layernorm": "ops/layer_norm-wide",
    "embedding": "ops/embedding-wide",
    "repetition": "processors/repetition_penalty-wide",
    "presence": "processors/presence_penalty-wide",
    "frequency": "processors/frequency_penalty-wide",
    "ngram": "processors/no_repeat_ngram_size-wide",
    "candidates-50": "processors/temperature-wide",
    "candidates": "processors/temperature-wide",
    "top-p": "processors/top_p-wide",
    "top-k": "processors/top_k-wide",
    "temperature": "processors/temperature-wide",
    "logit-bias": "processors/logit_bias-wide",
    "sequences": "processors/bad_words_ids-wide",
    "suppressed": "processors/suppress_tokens-wide",
    "minimum": "processors/min_length-wide",
    "bias-after": "processors/before-temperature",
    "stop": "decoders/greedy-wide",
    "budget": "decoders/greedy-wide",
    "draw": "decoders/sampling-wide",
    "beam": "decoders/beam-search-wide",
    "piece": "tokenizer/long-pieces",
    "split": "tokenizer/long-texts",
    "special": "tokenizer/special-text",
    "decode": "tokenizer/long-decode",
    "perplexity": "perplexity/long",
}


@functools.cache
def example_of(name):
    (check,) = named(name)
    clean = pytorch.subject()
    (example,) = collect(check.examples(clean), 1)
    assert look(check, clean, example).finding.verdict == MATCH
    return check, example


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_its_check_sees_it_in_one_example(mutant):
    name = next(name for start, name in MEANT.items() if mutant.id.startswith(start))
    check, example = example_of(name)
    finding = look(check, mutated(mutant, "float32"), example).finding
    assert finding.verdict == MISMATCH
    assert finding.says.startswith(tuple(f"{label}: " for label, _ in example.cases))


def test_there_are_as_many_as_the_issue_asks_for_and_many_have_a_source():
    assert len(MUTANTS) >= 22
    assert sum(bool(mutant.source) for mutant in MUTANTS) >= 19
    assert all(mutant.effect and mutant.severity for mutant in MUTANTS)
