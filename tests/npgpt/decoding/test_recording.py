import numpy as np

from npgpt.decoding._ledger import recorded
from tests.helpers.toy_language_model import ToyReader, random_logits, random_vectors


def test_the_reading_is_handed_on_and_the_model_sees_its_own_states():
    model, hidden_of = random_logits(1, 3), random_vectors(1, 2)
    plain, heard = (ToyReader(model, hidden_of=hidden_of) for _ in range(2))
    listening = recorded(heard, {})
    one, other = plain([[0, 1], [2]], None, keep=2), listening([[0, 1], [2]], None, keep=2)
    for rows in ([[1], [0, 0], [0]], [[2, 2], [], [1]]):
        np.testing.assert_array_equal(one.logits, other.logits)
        np.testing.assert_array_equal(one.hidden, other.hidden)
        states = [r.state.select([1, 0, 0]).rewind([1, 0, 1]) for r in (one, other)]
        one, other = plain(rows, states[0], keep=2), listening(rows, states[1], keep=2)
    assert plain.calls == heard.calls


def test_answers_outlive_the_arrays_they_came_in():
    reused = np.zeros((1, 1, 2))

    def read(rows, state, *, keep=1, hidden=True):
        reading = ToyReader(lambda history: [0.0, 0.0])(rows, state, keep=keep)
        reused[:] = len(rows[0])
        return reading._replace(logits=reused, hidden=reused)

    answers = {}
    listening = recorded(read, answers)
    listening([[0]], None)
    listening([[1]], None)
    reused[:] = 9.0
    assert answers[(0,)].logits.tolist() == answers[(1,)].hidden.tolist() == [1.0, 1.0]


def test_logits_asked_for_later_are_added_and_known_ones_stay():
    answers = {}
    listening = recorded(ToyReader(random_logits(1, 3)), answers)
    state = listening([[0, 1]], None).state
    assert answers[(0,)].logits is None
    before = answers[(0, 1)]
    listening([[0, 1]], None, keep=2)
    assert answers[(0,)].logits.tolist() == random_logits(1, 3)((0,))
    assert answers[(0, 1)] is before
    listening([[0, 1, 2]], None)
    assert answers[(0,)].logits is not None
    listening([[2]], state)
    assert set(answers) == {(0,), (0, 1), (0, 1, 2)}
