"""Few models, many prompts: a check's examples drawn so that an engine loads few files."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from oracle.adapters.subject import Subject
from oracle.conformance._check import Check
from oracle.conformance._checks.cache import CacheExample
from oracle.conformance._explore import collect
from oracle.conformance._model_examples import ModelExample
from oracle.strategies._tokens import batches, chunkings

MODELS = 5
CANDIDATES = 60  # of these, the models are chosen at even distances from smallest to largest
MOST_ROWS, MOST_TOKENS = 2, 10


def with_few_models(check: Check, *, models: int = MODELS, count: int | None = None) -> Check:
    """The check, asked of `models` models with `count` prompts, by default its own number.

    Checks of larger sizes stay as they are: they have few examples, each a model of its own shape.
    """
    if check.size != "toy" or check.needs not in ("logits", "step"):
        return check
    wanted = count or check.count

    def examples(subject: Subject) -> "st.SearchStrategy[Any] | None":
        strategy = check.examples(subject)
        if strategy is None:
            return None
        drawn = collect(strategy, min(CANDIDATES, wanted))
        if all(isinstance(example, ModelExample | CacheExample) for example in drawn):
            return st.sampled_from(_spread(drawn, subject, wanted, models))
        if not all(isinstance(example, tuple) for example in drawn):
            return None  # faults that no file has
        # Pairs of examples, of which the second comes between two calls of the first.
        firsts = _spread([pair[0] for pair in drawn], subject, wanted, models)
        return st.sampled_from(list(zip(firsts, firsts[1:] + firsts[:1], strict=True)))

    return replace(check, examples=examples)


def _spread(drawn: Sequence[Any], subject: Subject, count: int, models: int) -> list[Any]:
    """Examples of few of the models drawn, the smallest first, so that failures shrink to it."""
    ordered = sorted(drawn, key=lambda example: _size(_model(example)))
    last = len(ordered) - 1
    places = sorted({round(i * last / max(models - 1, 1)) for i in range(models)})
    examples = []
    for place in places:
        base = ordered[place]
        more = collect(_others(base, subject), max(1, count // len(places) - 1))
        examples += [base, *more]
    return examples


def _others(example: Any, subject: Subject) -> "st.SearchStrategy[Any]":
    """Other rows for the model of an example."""
    model = _model(example)
    rows = subject.claims.rows(MOST_ROWS)
    room = {**model.config, "n_positions": min(model.config["n_positions"], MOST_TOKENS)}
    drawn = batches(room, max_rows=rows, paddings=("none",)).map(
        lambda batch: replace(model, batch=batch)
    )
    if isinstance(example, ModelExample):
        return drawn
    single = set(example.chunks) == {1}

    def chunked(whole: ModelExample) -> "st.SearchStrategy[CacheExample]":
        width = whole.batch.tokens.shape[1]
        sizes = st.just((1,) * width) if single else chunkings(width)
        return sizes.map(lambda chunks: CacheExample(whole, chunks))

    return drawn.flatmap(chunked)


def _model(example: Any) -> ModelExample:
    return example.whole if isinstance(example, CacheExample) else example


def _size(example: ModelExample) -> tuple[int, ...]:
    config = example.config
    sizes = (config["n_layer"], config["n_embd"], config["vocab_size"], config["n_positions"])
    return tuple(map(int, sizes))
