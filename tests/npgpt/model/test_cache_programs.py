"""Any program of reading, selecting and dropping is each row read alone, from scratch."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oracle.bounds._compare import excess
from tests.helpers.tiny_models import rows, tiny_models, whole_models

STEPS = 7


class Runs:
    """Caches, each with the real tokens that every one of its rows has read."""

    def __init__(self, data, model):
        self.data, self.model = data, model
        self.rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        self.measured = {}
        self.held = []

    def any(self):
        return self.data.draw(st.sampled_from(self.held))

    def room(self, texts):
        """How many tokens fit into the context of each row."""
        return [self.model.config["n_positions"] - len(text) for text in texts]

    def forward(self, past, texts, lengths, *, padding=1):
        """Read `lengths[r]` tokens in row r, with padding anywhere."""
        width = max(1, *lengths) + self.data.draw(st.integers(0, padding))
        mask = self.rng.permuted(np.arange(width) < np.array(lengths)[:, None], axis=1)
        tokens = self.rng.integers(0, self.model.config["vocab_size"], mask.shape)
        output = self.model.run(tokens, mask=mask, past=past)
        new = [row[real] for row, real in zip(tokens, mask, strict=True)]
        longer = [(*text, *map(int, row)) for text, row in zip(texts, new, strict=True)]
        for row, text in enumerate(longer):
            self.check(output.logits[row][mask[row]], text, output.hidden[row][mask[row]])
        self.held.append((output.past, longer))

    def check(self, logits, text, hidden):
        if not len(logits):
            return
        if text not in self.measured:
            self.measured[text] = self.model.measure(np.array(text))
        measured, last = self.measured[text], slice(len(text) - len(logits), None)
        assert excess(logits, measured.logits[last], measured.allowed()) <= 1
        expected = measured.values["ln_f", None][0, last]
        assert excess(hidden, expected, measured.allowed("ln_f")) <= 1

    def start(self):
        texts = [()] * self.data.draw(st.integers(1, 3))
        self.forward(None, texts, [self.data.draw(st.integers(0, 4)) for _ in texts])

    def read(self):
        past, texts = self.any()
        lengths = [self.data.draw(st.integers(0, min(3, room))) for room in self.room(texts)]
        self.forward(past, texts, lengths)

    def select(self):
        past, texts = self.any()
        place = st.integers(0, len(texts) - 1)
        chosen = self.data.draw(st.lists(place, min_size=1, max_size=5))
        self.held.append((past.select(chosen), [texts[row] for row in chosen]))

    def rewind(self):
        past, texts = self.any()
        counts = [self.data.draw(st.integers(0, len(text))) for text in texts]
        kept = [text[: len(text) - count] for text, count in zip(texts, counts, strict=True)]
        self.held.append((past.rewind(counts), kept))


@whole_models
@given(st.data(), tiny_models(n_positions=8))
def test_any_program_is_every_row_alone(data, model):
    """Caches that were gone on from stay as they were: in the end, each goes on once more."""
    runs = Runs(data, model)
    runs.start()
    actions = [runs.start, runs.read, runs.read, runs.select, runs.select, runs.rewind]
    for action in data.draw(st.lists(st.sampled_from(actions), max_size=STEPS)):
        action()
    for past, texts in data.draw(st.permutations(runs.held)):
        assert past.real.sum(axis=1).tolist() == [len(text) for text in texts]
        runs.forward(past, texts, [min(1, room) for room in runs.room(texts)], padding=0)


@whole_models
@given(st.data(), tiny_models(n_positions=10))
def test_beams_of_several_prompts_are_every_row_alone(data, model):
    """As beam search goes: prompts of any lengths, beams of each, then a select at every step."""
    runs = Runs(data, model)
    texts = [()] * data.draw(st.integers(1, 3))
    runs.forward(None, texts, [data.draw(st.integers(1, 5)) for _ in texts])
    for _ in range(data.draw(st.integers(1, 3))):
        past, texts = runs.held[-1]
        place = st.integers(0, len(texts) - 1)
        chosen = data.draw(st.lists(place, min_size=2, max_size=5))
        runs.forward(past.select(chosen), [texts[row] for row in chosen], [1] * len(chosen))


@whole_models
@given(st.data(), tiny_models(n_positions=10))
def test_proposals_read_and_dropped_are_never_read(data, model):
    """As speculative decoding goes: several rows read proposals, and keep some of them."""
    runs = Runs(data, model)
    texts = [()] * data.draw(st.integers(1, 2))
    runs.forward(None, texts, [data.draw(st.integers(1, 3)) for _ in texts])
    for _ in range(data.draw(st.integers(1, 5))):
        past, texts = runs.held[-1]
        lengths = [data.draw(st.integers(0, min(3, room))) for room in runs.room(texts)]
        runs.forward(past, texts, lengths)
        past, texts = runs.held.pop()
        counts = [data.draw(st.integers(0, length)) for length in lengths]
        kept = [text[: len(text) - count] for text, count in zip(texts, counts, strict=True)]
        runs.held.append((past.rewind(counts), kept))
    row = data.draw(rows(model))
    dropped = runs.held[-1][0].rewind([len(text) for text in runs.held[-1][1]])
    again = model.run(np.repeat(row[None], len(texts), axis=0), past=dropped)
    first = model.run(np.repeat(row[None], len(texts), axis=0))
    assert np.array_equal(again.logits, first.logits)  # nothing is left: not a bit differs
