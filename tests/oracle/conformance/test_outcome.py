"""What a run of one check says of subjects that behave, and of those that do not."""

import numpy as np
import pytest

from oracle.adapters.guard import DIED, HUNG, Misbehaviour
from oracle.adapters.subject import Subject
from oracle.conformance._catalogue import named
from oracle.conformance._outcome import LAX, MOST_DEATHS, NOT_OFFERED, RIGHT, UNDECIDED, WRONG, run
from tests.helpers.broken_subjects import changed, clean

(LOGITS,) = named("model/logits")
(REFUSALS,) = named("model/refusals")
(FLAGS,) = named("model/flags")


def outcome(change, check=LOGITS, count=12):
    return run(check, changed(logits=change), count=count)


def test_a_right_subject_is_right():
    found = run(LOGITS, clean(), count=12)
    assert (found.verdict, found.counts["match"], found.worst, found.says) == (RIGHT, 12, None, "")
    assert 0 < found.error < 1


def test_what_is_not_offered_is_not_judged():
    found = run(LOGITS, Subject("nothing"))
    assert (found.verdict, found.seen) == (NOT_OFFERED, ())


def test_a_wrong_subject_is_wrong_with_a_small_example():
    found = outcome(lambda logits: lambda c, w, t, m: logits(c, w, t, m) + np.float32(0.001))
    assert (found.verdict, found.counts["mismatch"]) == (WRONG, 12)
    assert found.worst.example.batch.tokens.shape == (1, 1)
    assert found.worst.example.config["vocab_size"] == 1
    assert "the logit of token 0 at position 0 of row 0 is" in found.says


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            lambda logits: logits[:, -1],
            r"logits gave shape \(\d+, \d+\); expected \(batch, query, ",
        ),
        (lambda logits: logits.astype(str), "logits answered ndarray"),
        (lambda logits: None, "logits answered None"),
        (lambda logits: logits > 0, "logits gave ndarray bool"),
        (lambda logits: logits * np.nan, "is nan; it is"),
        (lambda logits: logits * 0 + np.inf, "is inf; it is"),
        (lambda logits: [[1.0], [2.0, 3.0]], "logits answered list"),
    ],
)
def test_an_answer_that_is_none_is_a_mismatch_that_says_so(answer, says):
    found = outcome(lambda logits: lambda *given: answer(logits(*given)))
    assert found.verdict == WRONG
    assert np.any([__import__("re").search(says, found.says)]), found.says


def test_other_dtypes_and_memory_orders_are_all_right():
    found = outcome(lambda logits: lambda *given: np.asfortranarray(logits(*given), np.float64))
    assert found.verdict == RIGHT


def test_an_exception_is_a_mismatch_and_the_run_goes_on():
    def change(logits):
        def raising(config, weights, tokens, mask):
            if config["n_layer"] == 1:
                raise KeyError("c_attn")
            return logits(config, weights, tokens, mask)

        return raising

    found = outcome(change, count=40)
    assert found.counts["match"] > 0
    assert found.says == "KeyError: 'c_attn'"


def test_writing_to_the_weights_is_found():
    def change(logits):
        def writing(config, weights, tokens, mask):
            weights["wte.weight"] *= 2
            return logits(config, weights, tokens, mask)

        return writing

    found = outcome(change)
    assert found.says == 'logits changed its argument weights["wte.weight"]'


def test_an_answer_that_changes_later_is_found():
    workspace = np.zeros(10**5, np.float32)

    def change(logits):
        def viewing(*given):
            found = logits(*given)
            workspace[: found.size] = found.ravel()
            return workspace[: found.size].reshape(found.shape)

        return viewing

    assert "must be a copy, not a view" in outcome(change).says


@pytest.mark.parametrize(("kind", "calls"), [(HUNG, 1), (DIED, MOST_DEATHS)])
def test_a_subject_that_hangs_or_dies_is_not_asked_for_ever(kind, calls):
    asked = []

    def logits(*given):
        asked.append(given)
        raise Misbehaviour(kind, "no answer")

    found = run(LOGITS, Subject("dead", logits=logits), count=12)
    assert (found.verdict, found.says, len(asked)) == (WRONG, "no answer", calls)


def test_to_answer_where_there_is_no_answer_is_wrong():
    def change(logits):
        return lambda config, weights, tokens, mask: logits(
            config, weights, np.clip(tokens, 0, config["vocab_size"] - 1), mask
        )

    found = outcome(change, REFUSALS, count=50)
    assert found.verdict == LAX
    assert found.counts["match"] > 10
    assert "has to be refused: it answered" in found.says


def test_to_refuse_a_flag_leaves_it_undecided_not_wrong():
    def change(logits):
        def refusing(config, *given):
            if config["activation_function"] != "gelu_new":
                raise NotImplementedError(config["activation_function"])
            return logits(config, *given)

        return refusing

    found = outcome(change, FLAGS, count=50)
    assert found.verdict == UNDECIDED
    assert (found.counts["tie"], found.counts["mismatch"]) == (0, 0)
    assert found.counts["refused"] > 10
    assert found.says.startswith("it was refused: NotImplementedError")
