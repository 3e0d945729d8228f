import numpy as np
import pytest

from npgpt.decoding._decoders import DECODERS, TokenByToken, generate, prepare
from npgpt.decoding._run import check_columns
from npgpt.decoding._scoring import Row
from npgpt.decoding._settings import Settings
from npgpt.errors import NonFiniteError, PromptError, SettingError
from tests.helpers.toy_language_model import Toy


def check(logits, *, tokens=([1], [2]), vocab_size=None, width=None, running=(0, 1), eos=()):
    settings = Settings(max_length=4, eos_token_id=eos)
    request = prepare(tokens, settings, vocab_size=vocab_size)
    rows = [Row([1, 2, 2, 2], 1, prompt=prompt) for prompt in running]  # at step 3
    check_columns(logits, request, rows, width=width, source="next_step")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_of_the_right_shape_pass(dtype):
    logits = np.array([[0, -np.inf, np.inf]] * 2, dtype=dtype)
    check(logits)
    check(logits, vocab_size=3, width=3)


@pytest.mark.parametrize(
    ("logits", "parts"),
    [
        (np.zeros((1, 3)), ["(1, 3)", "2 rows"]),
        (np.zeros(3), ["(3,)"]),
        (np.zeros((2, 1, 3)), ["(2, 1, 3)", "last token"]),
        (np.zeros((2, 3), int), ["int64", "floats"]),
        ([[0.0] * 3] * 2, ["list", "floats"]),
        (np.zeros((2, 2)), ["(2, 2)", "3"]),
    ],
)
def test_anything_else_is_quoted(logits, parts):
    with pytest.raises(SettingError) as caught:
        check(logits, vocab_size=3)
    for part in parts:
        assert part in str(caught.value)


def test_the_vocabulary_must_not_change():
    with pytest.raises(SettingError, match=r"\(2, 3\).* 4 columns before"):
        check(np.zeros((2, 3)), width=4)


def test_nan_names_row_step_and_token():
    logits = np.zeros((2, 3))
    logits[1, 2] = np.nan
    with pytest.raises(NonFiniteError, match="NaN for token 2, in row 5 at step 3"):
        check(logits, running=(4, 5))


def test_the_first_step_shows_an_unstated_vocabulary():
    with pytest.raises(PromptError, match="holds token id 2"):
        check(np.zeros((2, 2)))
    with pytest.raises(SettingError, match="eos_token_id is 3"):
        check(np.zeros((2, 3)), eos=3)


def second_likeliest(run):
    """A decoder as short as one can be: always the token that ranks second."""
    batch = run.prefill(run.request.copies)
    while batch is not None:
        scores = run.scores(batch)
        choices = [
            run.record(row, scores.row(index), int(np.argsort(-scores.final[index])[1]))
            for index, row in enumerate(batch.rows)
        ]
        yield choices
        batch = run.extend(batch, choices)


def test_a_decoder_is_a_function_of_a_run_and_a_row_of_the_table(monkeypatch):
    row = TokenByToken("greedy", lambda settings, draft: True, second_likeliest)
    monkeypatch.setitem(DECODERS, "greedy", row)
    settings = Settings(max_new_tokens=3, eos_token_id=1, output_ledger=True)
    found = generate(Toy(lambda history: np.eye(3)[history[-1] - 2] * 2), [[0], [2, 2]], settings)
    assert found.new_tokens == [[0, 0, 0], [1]]
    assert found.stopped == ["length", "eos"]
    assert [decision.token for decision in found.ledger.decisions] == [0, 1, 0, 0]
