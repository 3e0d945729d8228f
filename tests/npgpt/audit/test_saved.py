"""Traces on disk: what was recorded comes back, to the bit, and in little memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given

from npgpt._config import Config
from npgpt._gpt import GPT
from npgpt.audit import _noise_floor as noise_floor
from npgpt.audit import saved
from npgpt.audit.interventions import zero
from npgpt.audit.sites import head, mlp
from npgpt.errors import CheckpointError, SettingError
from npgpt.model._forward import forward
from npgpt.model._parameters import from_arrays, shapes, to_arrays
from npgpt.trace import Recorder, keys
from tests.helpers.small_gpt import CONFIG, small_gpt, small_gpt_in
from tests.helpers.tiny_models import whole_models
from tests.helpers.traced_models import traced_models

PROMPT = "Shall I compare thee"


@whole_models
@given(traced_models())
def test_what_comes_back_is_what_the_pass_computed(tmp_path_factory, traced):
    model, tokens, trace = traced
    gpt = GPT(model.arguments[1], model.arguments[0])
    folder = tmp_path_factory.mktemp("trace")
    saved.save(folder, gpt, tokens)
    found = saved.load(folder)
    assert list(found.trace.arrays) == list(trace.arrays) == keys(gpt.config.n_layer)
    for key, array in trace.arrays.items():
        assert found.trace.arrays[key].dtype == array.dtype
        assert np.array_equal(found.trace.arrays[key], array, equal_nan=True)
        assert not found.trace.arrays[key].flags.writeable
    assert (found.config, found.dtype) == (gpt.config, model.dtype)
    assert np.array_equal(found.tokens, tokens)


@pytest.mark.parametrize("names", ["resid_*", ["logits", "*.1"], "pattern.0"])
def test_only_what_is_asked_for_is_saved(tmp_path, names):
    gpt = small_gpt()
    saved.save(tmp_path, gpt, PROMPT, names)
    assert saved.load(tmp_path).trace.arrays.keys() == gpt.trace(PROMPT, names).arrays.keys()


def test_what_is_recorded_already_is_saved_as_well(tmp_path):
    gpt = small_gpt()
    tap = zero(head(CONFIG, 1, 0))
    saved.save(tmp_path / "a", gpt, PROMPT, ["ln_f", "mlp_*"], tap=tap)
    recorded = gpt.trace(PROMPT, ["ln_f", "mlp_*"], tap=tap)
    saved.save_recorded(tmp_path / "b", gpt, PROMPT, recorded, tap=tap)
    for file in ("trace.safetensors", "trace.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "holds nothing"),
        ({("ln_f", None): np.zeros((1, 2, 8))}, r"'ln_f' of layer None .* shape \(1, 2, 8\)"),
        ({("ln_1", 2): np.zeros((1, 2, 8))}, "layer of 'ln_1' is 2"),
    ],
)
def test_what_no_such_pass_records_is_a_named_error(tmp_path, arrays, message):
    with pytest.raises(SettingError, match=message):
        saved.save_recorded(tmp_path, small_gpt(), PROMPT, Recorder(arrays=arrays))


def test_a_pass_that_fails_leaves_the_trace_before_it(tmp_path):
    gpt = small_gpt()
    saved.save(tmp_path, gpt, PROMPT)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def broken(name, layer, array):
        if (name, layer) == ("mlp_out", 1):
            raise OSError(28, "No space left on device")
        return array

    with pytest.raises(CheckpointError, match="No space left on device"):
        saved.save(tmp_path, gpt, PROMPT, tap=broken)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("at", [("mlp_out", 1), ("pattern", 0), ("logits", None)])
@pytest.mark.parametrize(
    ("to", "message"),
    [(lambda a: a[:, :1, :1], "of shape"), (lambda a: a.astype(np.float64), "is float64 of shape")],
)
def test_a_tap_that_gives_another_shape_or_dtype_is_a_named_error(tmp_path, at, to, message):
    gpt = small_gpt_in("float32")
    saved.save(tmp_path, gpt, PROMPT, "ln_f")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(SettingError, match=f"'{at[0]}' of layer {at[1]} .*{message}"):
        saved.save(tmp_path, gpt, PROMPT, tap=lambda n, la, a: to(a) if (n, la) == at else a)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_asking_for_nothing_is_a_named_error(tmp_path):
    with pytest.raises(SettingError, match="names is \\[\\], which asks for nothing"):
        saved.save(tmp_path / "new", small_gpt(), PROMPT, [])
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_a_named_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be written"):
        saved.save(tmp_path / "file", small_gpt(), PROMPT)


@whole_models
@given(traced_models())
def test_the_floor_is_the_distance_from_the_same_pass_in_float64(traced):
    """Of the exact weights: the float32 ones, widened all at once."""
    model, tokens, trace = traced
    params, config = model.arguments
    found = noise_floor.noise_floors(trace.arrays, tokens, params, config)
    if model.dtype == "float64":
        assert all(floor >= 0 for floor in found.values())
        return
    exact = Recorder()
    wide = from_arrays({n: a.astype(np.float64) for n, a in to_arrays(params).items()}, config)
    forward(tokens, wide, config, tap=exact)
    for key, array in trace.arrays.items():
        with np.errstate(invalid="ignore"):
            gap = np.abs(array - exact.arrays[key])
        same = (array == exact.arrays[key]) | (np.isnan(array) & np.isnan(exact.arrays[key]))
        moved = np.where(same, 0, np.where(np.isnan(gap), np.inf, gap)).max()
        wide_array = exact.arrays[key]
        size = np.abs(wide_array[np.isfinite(wide_array)]).max(initial=0)
        own = 8 * (2**-29 * moved + 2**-52 * size)  # of the pass in float64
        assert found[key] == (0 if key[0].endswith("embedding") else moved + own)


def test_a_change_is_no_noise(tmp_path):
    gpt = small_gpt_in("float32")
    saved.save(tmp_path / "plain", gpt, PROMPT)
    saved.save(tmp_path / "changed", gpt, PROMPT, tap=zero(mlp(CONFIG, 0)))
    plain, changed = (saved.load(tmp_path / name).floors for name in ("plain", "changed"))
    assert changed["mlp_out", 0] == 0
    assert changed["mlp_post", 0] == plain["mlp_post", 0] > 0
    difference, _ = noise_floor.largest_difference(
        saved.load(tmp_path / "plain").trace["resid_post", 0],
        saved.load(tmp_path / "changed").trace["resid_post", 0],
    )
    assert changed["resid_post", 0] < difference


def test_saving_takes_the_memory_of_a_layer_and_not_of_all(tmp_path):
    config = Config(vocab_size=300, n_positions=128, n_embd=32, n_layer=24, n_head=4)
    rng = np.random.default_rng(0)
    arrays = {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes(config).items()}
    gpt = GPT(config, from_arrays(arrays, config))
    prompt = list(range(128))

    def peak(run):
        tracemalloc.start()
        try:
            run()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    gpt.logits(prompt)  # what is built once
    whole = peak(lambda: gpt.trace(prompt))
    streamed = peak(lambda: saved.save(tmp_path, gpt, prompt))
    size = (tmp_path / "trace.safetensors").stat().st_size
    assert whole > size
    # A layer's, in float64, and what is made of it on the way.
    assert streamed < 6 * size / config.n_layer


def test_a_cut_file_is_noticed_before_it_is_looked_at(tmp_path):
    gpt = small_gpt()
    saved.save(tmp_path, gpt, PROMPT)
    found = saved.load(tmp_path)
    with (tmp_path / "trace.safetensors").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(CheckpointError, match="somebody cut it to 1000"):
        saved.verify(found, gpt)
