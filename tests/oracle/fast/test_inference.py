"""The fast path is within the noise floor of the plain one, on the device under test."""

from collections import Counter
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracle import model
from oracle.bounds._compare import excess
from oracle.bounds._noise import noise_floor
from oracle.conformance._explore import collect
from oracle.conformance._model_examples import exact_in
from oracle.fast import _held as held
from oracle.fast._inference import Inference
from oracle.strategies._configs import configs
from oracle.strategies._tokens import batches
from oracle.strategies._weights import build_weights, weights
from tests.helpers.decision_verdicts import MISMATCH, MOST_TIES, TIE, chosen
from tests.helpers.device import DEVICE
from tests.helpers.tiny_models import whole_models

DTYPES = ["float64", "float32", "bfloat16", "float16"]
TINY = {"vocab_size": 5, "n_positions": 6, "n_embd": 6, "n_layer": 2, "n_head": 2}
WEIGHTS = build_weights("trained", 0, model.DEFAULTS | TINY)
no_gpu = pytest.mark.skipif(
    DEVICE.type != "cuda", reason="NPGPT_DEVICE is not cuda: there are no graphs to look at"
)


@dataclass(frozen=True)
class Example:
    """A model, a padded prompt (batch, query) and real tokens (batch, steps) to read after it."""

    config: dict
    weights: dict
    dtype: str
    prompt: np.ndarray
    mask: np.ndarray
    steps: np.ndarray
    static: bool | None

    def inference(self, **options):
        batch, length = self.prompt.shape[0], self.prompt.shape[1] + self.steps.shape[1]
        options = {"batch": batch, "length": length, "static": self.static} | options
        kind = getattr(torch, self.dtype)
        return Inference(tensors(self.weights), self.config, dtype=kind, device=DEVICE, **options)

    def prefilled(self, **options):
        """It, and its first logits."""
        inference = self.inference(**options)
        return inference, inference.prefill(*map(torch.from_numpy, (self.prompt, self.mask)))

    def reference(self, steps):
        """Logits in float64 (batch, 1 + steps, vocab) from the prompt's end on; what is allowed."""
        tokens = np.concatenate([self.prompt, steps], 1)
        mask = np.concatenate([self.mask, np.ones_like(steps, bool)], 1)
        logits, allowed = noise_floor(self.weights, self.config, tokens, mask, dtype=self.dtype)
        width = self.mask.shape[1]
        ends = width - 1 - self.mask[:, ::-1].argmax(1)
        first = logits[np.arange(len(ends)), ends]
        return np.concatenate([first[:, None], logits[:, width:]], 1), allowed


@st.composite
def examples(draw, dtype, *, kinds=("trained", "ordinary", "huge_scores", "outliers"), least=0):
    config = draw(configs())
    steps = draw(st.integers(min(least, config["n_positions"] - 1), config["n_positions"] - 1))
    room = config | {"n_positions": config["n_positions"] - steps}
    batch = draw(batches(room))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Example(
        config,
        exact_in(dtype, draw(weights(config, kinds=kinds))),
        dtype,
        batch.tokens,
        batch.mask,
        rng.integers(0, config["vocab_size"], (len(batch.tokens), steps)),
        draw(st.sampled_from([None, True, False])),
    )


def tensors(arrays):
    return {name: torch.tensor(array) for name, array in arrays.items()}


def array(found):
    assert found.device.type == DEVICE.type
    return found.double().cpu().numpy()


def tiny(*, batch=2, length=6, **options):
    return Inference(tensors(WEIGHTS), TINY, batch=batch, length=length, device=DEVICE, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@whole_models
@given(st.data(), st.integers(1, 9))
def test_prefill_and_steps_are_within_the_noise_floor(dtype, data, bucket):
    example = data.draw(examples(dtype))
    with patch.object(held, "BUCKET", bucket):
        inference, first = example.prefilled(length=20)
        found = [first] + [inference.step(column) for column in torch.from_numpy(example.steps.T)]
    assert {logits.dtype for logits in found} == {getattr(torch, dtype)}
    assert excess(array(torch.stack(found, 1)), *example.reference(example.steps)) <= 1


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@whole_models
@given(st.data())
def test_steps_after_a_selection_go_on_from_the_rows_selected(dtype, data):
    example = data.draw(examples(dtype, least=1))
    count, steps = example.steps.shape
    rows = np.array(data.draw(st.lists(st.integers(0, count - 1), min_size=count, max_size=count)))
    cut = data.draw(st.integers(0, steps))
    new = np.concatenate([example.steps[rows, :cut], example.steps[:, cut:]], 1)
    inference, _ = example.prefilled()
    for column in example.steps[:, :cut].T:
        inference.step(torch.from_numpy(column))
    inference.select(torch.from_numpy(rows))
    found = [inference.step(torch.from_numpy(column)) for column in new[:, cut:].T]
    moved = Example(
        example.config,
        example.weights,
        dtype,
        example.prompt[rows],
        example.mask[rows],
        new,
        example.static,
    )
    reference, allowed = moved.reference(new)
    for logits, expected in zip(found, reference[:, 1 + cut :].swapaxes(0, 1), strict=True):
        assert excess(array(logits), expected, allowed[:, 0]) <= 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_greedy_tokens_are_those_of_the_plain_loop(dtype):
    verdicts = Counter()
    for example in collect(examples(dtype, kinds=("trained",), least=1), 50):
        prompt, mask = map(torch.from_numpy, (example.prompt, example.mask))
        inference = example.inference()
        many = example.steps.shape[1] + 1
        found = inference.generate(prompt, many, mask)
        assert found.shape == (len(prompt), many)
        assert found.device.type == DEVICE.type
        found = found.cpu().numpy()
        reference, allowed = example.reference(found[:, :-1])
        for scores, row, slack in zip(reference, found, allowed[:, 0, 0], strict=True):
            verdicts.update(chosen(s, t, slack) for s, t in zip(scores, row, strict=True))
    most = 5 * MOST_TIES if dtype == "bfloat16" else MOST_TIES  # its eight bits leave more level
    assert not verdicts[MISMATCH], verdicts
    assert verdicts[TIE] <= most * verdicts.total(), verdicts


def test_generation_is_what_the_steps_choose_and_may_be_gone_on_from():
    prompt = [[1, 2], [3, 4]]
    one, other = tiny(), tiny()
    found = one.generate(prompt, 4)
    logits, expected = other.prefill(prompt), []
    for i in range(4):
        expected.append(logits.argmax(1))
        if i < 3:
            logits = other.step(expected[-1])
    assert torch.equal(found, torch.stack(expected, 1))
    assert torch.equal(one.step(found[:, 3]), other.step(found[:, 3]))
    assert one.generate(prompt, 0).shape == (2, 0)


@pytest.mark.parametrize("static", [True, False])
def test_a_second_prompt_knows_nothing_of_the_first(static):
    prompt = [[1, 2, 3], [0, 4, 0]]
    fresh, used = tiny(static=static), tiny(static=static)
    used.prefill([[4, 3, 2, 1], [1, 1, 1, 1]], [[True] * 4, [False, True, True, False]])
    used.step([0, 1])
    used._held.cache.fill_(torch.nan)
    assert torch.equal(fresh.prefill(prompt), used.prefill(prompt))
    for tokens in ([4, 3], [0, 1], [2, 2]):
        assert torch.equal(fresh.step(tokens), used.step(tokens))


def test_pieces_read_after_each_other_are_the_whole():
    tokens = torch.tensor([[1, 2, 3, 4], [0, 4, 0, 1]])
    mask = torch.tensor([[False, True, True, True], [False, False, False, True]])
    reference, allowed = noise_floor(WEIGHTS, TINY, tokens.numpy(), mask.numpy(), dtype="float32")
    inference, found = tiny(), []
    for start, end in ((0, 1), (1, 3), (3, 4)):
        found.append(inference.extend(tokens[:, start:end], mask[:, start:end]))
    assert excess(array(torch.cat(found, 1))[mask], reference[mask], allowed.max()) <= 1
    after = np.concatenate([tokens.numpy(), [[2], [0]]], 1)
    real = np.concatenate([mask.numpy(), [[True], [True]]], 1)
    reference, allowed = noise_floor(WEIGHTS, TINY, after, real, dtype="float32")
    assert excess(array(inference.step([2, 0])), reference[:, -1], allowed[:, 0]) <= 1


def test_what_was_returned_stays_and_the_weights_do_too():
    given_ = tensors(WEIGHTS)
    before = {name: tensor.clone() for name, tensor in given_.items()}
    inference = Inference(given_, TINY, batch=1, length=6, device=DEVICE)
    first = inference.prefill([[1, 2]])
    second = inference.step([3])
    copies = first.clone(), second.clone()
    inference.step([4])
    assert torch.equal(first, copies[0])
    assert torch.equal(second, copies[1])
    assert all(torch.equal(before[name], given_[name]) for name in given_)


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (lambda i: i.prefill([[0] * 7] * 2), "7 columns are more than length = 6"),
        (lambda i: i.prefill([[0, 5], [0, 0]]), r"5 in tokens is outside 0\.\.4"),
        (lambda i: i.prefill([[0, -1], [0, 0]]), r"-1 in tokens is outside"),
        (lambda i: i.prefill([[0]]), r"tokens have shape \(1, 1\); expected \(2, query\)"),
        (lambda i: i.prefill([[], []]), r"tokens have (shape \(2, 0\)|dtype)"),
        (lambda i: i.prefill([[0.5], [1]]), "tokens have dtype torch.float32; expected integers"),
        (lambda i: i.prefill([[0], [0]], [[True]]), r"mask has shape \(1, 1\) and dtype"),
        (lambda i: i.prefill([[0], [0]], [[1], [1]]), r"mask has .* torch.int64; .* torch.bool"),
        (lambda i: i.prefill([[0], [0]], [[True], [False]]), "row 1 has no real token"),
        (lambda i: i.extend([[0] * 4] * 2), "7 columns are more than length = 6"),
        (lambda i: i.step([0]), r"tokens have shape \(1,\); expected \(2,\)"),
        (lambda i: i.select([0, 1, 1]), r"rows have shape \(3,\); expected \(2,\)"),
        (lambda i: i.generate([[0], [0]], 7), "7 columns are more than length = 6"),
        (lambda i: i.generate([[0], [0]], -1), "max_new_tokens is -1; expected 0 or more"),
    ],
)
def test_misuse_changes_nothing(do, message):
    inference, other = tiny(), tiny()
    for each in (inference, other):
        each.prefill([[1, 2, 3], [4, 0, 1]])
    with pytest.raises(ValueError, match=message):
        do(inference)
    assert torch.equal(inference.step([1, 2]), other.step([1, 2]))


@pytest.mark.skipif(DEVICE.type == "cuda", reason="on a GPU, to look at them would be to wait")
def test_ids_of_a_step_and_rows_of_a_selection_are_looked_at_on_the_cpu():
    inference = tiny()
    inference.prefill([[1], [2]])
    with pytest.raises(ValueError, match=r"5 in tokens is outside 0\.\.4"):
        inference.step([0, 5])
    with pytest.raises(ValueError, match=r"-1 in rows is outside 0\.\.1"):
        inference.select([-1, 0])


def test_misuse_from_the_start():
    for call in (lambda i: i.step([0, 0]), lambda i: i.select([0, 1])):
        with pytest.raises(ValueError, match="came before any prompt; call prefill first"):
            call(tiny())
    with pytest.raises(ValueError, match="batch is 0; expected 1 or more"):
        tiny(batch=0)
    with pytest.raises(ValueError, match="length is -1"):
        tiny(length=-1)
    lacking = {n: t for n, t in tensors(WEIGHTS).items() if n != "ln_f.bias"}
    with pytest.raises(ValueError, match=r"the tensor ln_f.bias is missing; it has shape \(6,\)"):
        Inference(lacking, TINY, batch=1, length=1)


def test_a_full_cache_is_an_error():
    inference = tiny(length=3)
    inference.generate([[1, 2], [3, 4]], 2)
    with pytest.raises(ValueError, match="4 columns are more than length = 3"):
        inference.step([0, 0])


def test_positions_may_be_used_up_by_a_row_before_the_columns_are():
    inference = tiny(length=9)
    mask = [[True] * 6, [False] * 5 + [True]]
    with pytest.raises(ValueError, match=r"position 6 is outside 0\.\.5; give at most n_positions"):
        inference.prefill([[0] * 7] * 2)
    inference.prefill([[0] * 5] * 2)
    with pytest.raises(ValueError, match=r"position 6 is outside 0\.\.5"):
        inference.extend([[0] * 2] * 2)
    inference.prefill([[0] * 6] * 2, mask)
    with pytest.raises(ValueError, match=r"position 6 is outside 0\.\.5"):
        inference.step([0, 0])
    with pytest.raises(ValueError, match=r"position 6 is outside 0\.\.5"):
        inference.generate([[0] * 6] * 2, 2, mask)
    inference.select([1, 1])
    for _ in range(3):
        inference.step([0, 0])


@pytest.mark.parametrize("upcast", [True, False])
@pytest.mark.parametrize("static", [True, False])
def test_on_meta_the_shapes_come_out_right(static, upcast):
    """So nothing leaves the device on the way, and nothing waits for a value of it."""
    config = TINY | {"reorder_and_upcast_attn": upcast}
    options = {"dtype": torch.bfloat16, "device": "meta", "static": static}
    inference = Inference(tensors(WEIGHTS), config, batch=2, length=6, **options)
    mask = torch.ones(2, 3, dtype=torch.bool)
    first = inference.prefill([[1, 2, 3]] * 2, mask)
    second = inference.step(torch.zeros(2, dtype=torch.int64, device="meta"))
    inference.select([1, 0])
    more = inference.extend([[1, 2]] * 2)
    generated = inference.generate([[1, 2]] * 2, 5)
    found = [first, second, more, generated]
    assert all(tensor.is_meta for tensor in found)
    assert [tuple(tensor.shape) for tensor in found] == [(2, 5), (2, 5), (2, 2, 5), (2, 5)]
    assert {tensor.dtype for tensor in found[:3]} == {torch.bfloat16}


@no_gpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_graphed_step_is_the_ungraphed_one(dtype):
    graphed, plain = (tiny(dtype=getattr(torch, dtype)) for _ in range(2))
    with patch.object(held.Held, "_captured", lambda self, end: Ungraphed(self, end)):
        plain.prefill([[1, 2], [3, 4]])
        expected = [plain.step([i, 4 - i]) for i in range(4)]
    graphed.prefill([[1, 2], [3, 4]])
    found = [graphed.step([i, 4 - i]) for i in range(4)]
    tokens = np.array([[1, 2, 0, 1, 2, 3], [3, 4, 4, 3, 2, 1]])
    weights = exact_in(dtype, WEIGHTS)
    _, allowed = noise_floor(weights, TINY, tokens, np.ones((2, 6), bool), dtype=dtype)
    assert excess(*(array(torch.stack(some, 1)) for some in (found, expected)), allowed) <= 1
    assert isinstance(graphed._held.graphs[8], torch.cuda.CUDAGraph)


@dataclass(frozen=True)
class Ungraphed:
    """What a graph stands for, launched kernel by kernel."""

    held: held.Held
    end: int

    def replay(self):
        self.held._step(self.end)


@no_gpu
def test_steps_wait_for_nothing():
    inference = tiny()
    tokens = torch.tensor([1, 2], device=DEVICE)
    inference.generate([[1, 2], [3, 4]], 3)  # captures
    torch.cuda.set_sync_debug_mode("error")
    try:
        inference.step(tokens)
        inference.select(tokens - 1)
        inference.step(tokens)
    finally:
        torch.cuda.set_sync_debug_mode("default")
