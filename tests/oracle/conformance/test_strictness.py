"""What is done where there is no answer is a verdict of its own, and says how."""

import numpy as np
import pytest

from oracle.adapters.guard import guarded
from oracle.adapters.subject import Subject
from oracle.conformance._catalogue import named
from oracle.conformance._judge import judge
from oracle.conformance._outcome import LAX, NOT_OFFERED, RIGHT, STRICT, WRONG
from oracle.conformance._strictness import strictness
from oracle.conformance._table import as_data, summary
from tests.helpers.broken_subjects import changed, clean

ASKED = named("model/logits", "model/refusals")


def as_numpy_indexes(logits):
    """In a GPT-2 in NumPy, such as picoGPT's wte[inputs] + wpe[range(len(inputs))]."""

    def answering(config, weights, tokens, mask):
        return logits(
            config, weights, np.where(tokens < 0, tokens + config["vocab_size"], tokens), mask
        )

    return answering


def test_a_model_that_indexes_as_numpy_does_is_right_and_lax():
    judgement = judge(changed(logits=as_numpy_indexes), ASKED, count=30, seed=0)
    assert (judgement.verdict, judgement.numbers) == (RIGHT, RIGHT)
    assert judgement.refusals.verdict == LAX
    (how,) = judgement.refusals.how
    assert how.startswith("a negative token: it answered as Python indexes do (")
    assert (judgement.suspects, judgement.divergences) == ((), ())
    text = summary(judgement)
    assert "changed, float32: RIGHT\n" in text
    assert f"refusals: lax\n    {how}\n" in text
    assert as_data(judgement)["refusals"] == {"verdict": "lax", "how": [how]}


def test_to_be_lax_is_wrong_for_who_asks_for_that():
    judgement = judge(changed(logits=as_numpy_indexes), ASKED, count=30, seed=0, strict=True)
    assert (judgement.verdict, judgement.numbers, judgement.suspects) == (WRONG, RIGHT, ())
    assert "WRONG, though its numbers are right" in summary(judgement)
    assert judge(clean(), ASKED, count=10, seed=0, strict=True).verdict == RIGHT


def test_a_strict_subject_is_said_to_be_strict():
    judgement = judge(clean(), ASKED, count=10, seed=0)
    assert judgement.refusals.verdict == STRICT
    assert "refusals: strict\n" in summary(judgement)


def test_who_is_not_asked_is_neither():
    assert judge(clean(), named("ops/relu"), count=5, seed=0).refusals is None
    none = judge(guarded(Subject("none", ops={})), ASKED)
    assert (none.verdict, none.refusals, strictness(())) == (NOT_OFFERED, None, None)


def clipped(logits):
    return lambda c, w, t, m: logits(c, w, np.clip(t, 0, c["vocab_size"] - 1), m)


def longer(make_row):
    def change(logits):
        def answering(config, weights, tokens, mask):
            table, width = weights["wpe.weight"], tokens.shape[1]
            if width > len(table):
                weights = weights | {"wpe.weight": np.concatenate([table, make_row(table)])}
                config = config | {"n_positions": width}
            return logits(config, weights, tokens, mask)

        return answering

    return change


def filled(value):
    def change(logits):
        def answering(config, weights, tokens, mask):
            from oracle.strategies._weights import weight_shapes

            whole = {
                name: weights.get(name, np.full(shape, value, np.float32))
                for name, shape in weight_shapes(config).items()
            }
            return logits(config, whole, tokens, mask)

        return answering

    return change


def cut(logits):
    def answering(config, weights, tokens, mask):
        from oracle.strategies._weights import weight_shapes

        shapes = weight_shapes(config)
        fitting = {name: a[tuple(map(slice, shapes[name]))] for name, a in weights.items()}
        return logits(config, fitting, tokens, mask)

    return answering


def dying(logits):
    def answering(config, weights, tokens, mask):
        if tokens.min() < 0:
            raise SystemExit(9)
        return logits(config, weights, tokens, mask)

    return answering


def anything(value):
    return lambda logits: lambda c, w, t, m: np.full((*t.shape, c["vocab_size"]), value, np.float32)


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (clipped, "a token above the vocabulary: it answered as if it were the last token"),
        (clipped, "a negative token: it answered as if it were token 0"),
        (longer(lambda table: table[-1:]), "it answered as if beyond the last position all were"),
        (longer(lambda table: table[:1]), "it answered as if positions began again"),
        (longer(lambda table: 0 * table[:1]), "without a position beyond the last"),
        (filled(0), "a missing tensor: it answered as if it were zeros"),
        (cut, "a tensor of another shape: it answered as if what is too much were not there"),
        (dying, "a negative token: logits ended the program with exit status 9"),
        (anything(np.nan), "it answered with numbers that are not finite"),
        (anything(7), "it answered with other numbers"),
        (lambda logits: lambda *given: np.zeros(3), "it answered with something else than logits"),
    ],
)
def test_what_is_done_in_place_of_a_refusal_is_said(change, how):
    judgement = judge(changed(logits=change), named("model/refusals"), count=40, seed=0)
    assert judgement.refusals.verdict == LAX
    assert any(how in line for line in judgement.refusals.how), judgement.refusals.how
    assert judgement.suspects == ()
