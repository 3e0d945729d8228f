"""Strategies: what to draw with Hypothesis to test a GPT-2, or a part of one.

From arrays that are hard on numerical code to whole models, prompts and decoding problems; each
draws a kind and a seed, and builds the rest from these, so that a failing example is short to say.
Sizes are small, for logic, unless a strategy says otherwise.

>>> from oracle.strategies import build_array
>>> build_array("ordinary", 0, (2, 3)).shape
(2, 3)
"""

from oracle.strategies._arrays import FINITE_KINDS, LAYOUTS, arrays, build_array, laid_out, logits
from oracle.strategies._configs import configs
from oracle.strategies._decoding_problems import (
    DECODERS,
    DecodingProblem,
    build_problem,
    decoding_problems,
)
from oracle.strategies._hard_decoding import build_hard, difficulties, hard_problems
from oracle.strategies._scores import ScoreProblem, score_problems
from oracle.strategies._texts import (
    ByteVocabulary,
    IdsExample,
    TextExample,
    build_vocabulary,
    ids_examples,
    text_examples,
    texts,
)
from oracle.strategies._tokens import Batch, batches, build_batch, chunkings
from oracle.strategies._toy_language_models import ToyLanguageModel, build_toy, toy_language_models
from oracle.strategies._weights import Weights, build_weights, weight_shapes, weights

__all__ = [
    "DECODERS",
    "FINITE_KINDS",
    "LAYOUTS",
    "Batch",
    "ByteVocabulary",
    "DecodingProblem",
    "IdsExample",
    "ScoreProblem",
    "TextExample",
    "ToyLanguageModel",
    "Weights",
    "arrays",
    "batches",
    "build_array",
    "build_batch",
    "build_hard",
    "build_problem",
    "build_toy",
    "build_vocabulary",
    "build_weights",
    "chunkings",
    "configs",
    "decoding_problems",
    "difficulties",
    "hard_problems",
    "ids_examples",
    "laid_out",
    "logits",
    "score_problems",
    "text_examples",
    "texts",
    "toy_language_models",
    "weight_shapes",
    "weights",
]
