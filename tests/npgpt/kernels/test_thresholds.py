"""Each kernel beside its formula, on both sides of each threshold.

A case runs a kernel at a size where what a threshold measures is `value`, and holds the result to
the formula in npgpt.ops, computed in float64, within the bound of the kernel's arithmetic. Values
are one below the threshold, the threshold, and one above: a few times at the real thresholds, which
take up to a million numbers, and many times, with random data, at toy ones. A last test shows that
the cases do stand on either side: with the threshold moved by one, a kernel goes another way.
"""

import math
import sys
from contextlib import ExitStack, suppress
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from npgpt import ops
from npgpt._kernels.attention import attention
from npgpt._kernels.gelu import gelu_new
from npgpt._kernels.layer_norm import layer_norm
from npgpt._kernels.layout import padded_stride, to_column_major
from npgpt._kernels.linear import linear
from npgpt._kernels.skinny_gemm import blocked_matmul
from npgpt._kernels.upcast import upcast
from npgpt.checkpoints._tensors import to_bfloat16
from npgpt.model._cache import empty_cache
from npgpt.model._prefill import prefill
from npgpt.model._score import log_probabilities
from oracle import bounds
from oracle.bounds._compare import excess
from oracle.strategies._arrays import MAX_SEED
from oracle.strategies._weights import build_weights
from tests.helpers.documentation import ROOT
from tests.helpers.small_tiles import THRESHOLDS, TOY, patched, three_threads, thresholds
from tests.helpers.tiny_models import TinyModel, whole_models

NAMES = [name for name in vars(THRESHOLDS) if name.isupper()]
TOY_SIZES = TOY | {
    "SKINNY_GEMM_WEIGHTS_PER_THREAD": 30,
    "LONG_MATRIX_FIRST_ROWS": 12,
    "UNPACKED_BLOCK_MULTIPLE": 4,
    "COLUMN_TILE_MIN": 2,
    "MIXED_GEMM_ROWS": 5,
    "SPLIT_K_PIECES": 3,
    "ONE_THREAD_GEMM_WORK": 60,
    "ATTENTION_TILE_SCORES": 24,
    "SCORE_COLUMNS": 3,
    "ALIASING_STRIDE": 8,
    "CACHE_LINE": 2,
    "TRANSPOSE_BLOCK": 3,
}
OFFSETS = (-1, 0, 1)
CASES = {}


def case(*names):
    """Declare what runs at a size where the threshold of each of these names measures `value`."""

    def declare(function):
        for name in names:
            CASES.setdefault(name, []).append(function)
        return function

    return declare


def at(name):
    """A threshold, as it stands now."""
    return getattr(THRESHOLDS, name)


def factors(value):
    """Two numbers, the second no smaller, as near each other as may be, whose product is value."""
    small = next(n for n in range(math.isqrt(value), 0, -1) if value % n == 0)
    return small, value // small


def within(computed, expected, allowed):
    assert excess(computed, expected, allowed) <= 1


def normal(rng, *shape):
    return rng.standard_normal(shape, np.float32)


def hold_product(rng, rows, n, m, *, order="F", kind="float32", op=linear):
    x, weight, bias = normal(rng, rows, n), normal(rng, n, m), normal(rng, m)
    if kind != "float32":
        weight = weight.astype(np.float16) if kind == "float16" else to_bfloat16(weight)
    weight = np.asarray(weight, order=order)
    wide = ops.upcast(weight)
    expected = ops.linear(*(a.astype(np.float64) for a in (x, wide, bias)))
    # Partial sums, and the zeros that they start from, are one more addition each.
    padded = np.pad(x, ((0, 0), (0, 20))), np.pad(wide, ((0, 20), (0, 0)))
    allowed = sum(bounds.linear(*padded, bias, dtype=d) for d in (np.float32, np.float64))
    within(op(x, weight, bias), expected, allowed)


def hold_blocked(rng, rows, n, m):
    """`blocked_matmul`, by the same rule."""

    def op(left, right, bias):
        out = np.empty((rows, m), np.float32)
        blocked_matmul(left, right, out)
        return out + bias

    hold_product(rng, rows, n, m, op=op)


def hold_mixed(rng, rows, n, m):
    for order in "CF":
        for kind in ("float16", "bfloat16"):
            hold_product(rng, rows, n, m, order=order, kind=kind)


def hold_attention(rng, head, query, key, batch=1):
    q, k, v = (normal(rng, batch, head, length, 3) for length in (query, key, key))
    options = {"mask": ops.causal_mask(query, key), "scale": 0.5}
    expected = ops.attention(*(a.astype(np.float64) for a in (q, k, v)), **options)
    bound = bounds.attention
    allowed = sum(bound(q, k, v, **options, dtype=d) for d in (np.float32, np.float64))
    within(attention(q, k, v, **options), expected, allowed)


@case("SKINNY_GEMM_ROWS")
def rows_of_a_large_matrix(rng, value):
    n = math.isqrt(at("UNTILED_GEMM_WEIGHTS")) + 2
    hold_product(rng, value, n, n)


@case("UNTILED_GEMM_WEIGHTS", "SKINNY_GEMM_WEIGHTS_PER_THREAD")
def numbers_of_a_matrix(rng, value):
    n, m = factors(value)
    hold_product(rng, 2, n, m)


@case("LONG_MATRIX_FIRST_ROWS")
def rows_of_a_matrix(rng, value):
    hold_product(rng, value, 9, 11)


@case("UNPACKED_GEMM_WORK")
def multiplications_of_a_product(rng, value):
    rows, rest = factors(value)
    for n, m in (factors(rest), factors(rest)[::-1]):
        hold_blocked(rng, rows, n, m)


@case("UNPACKED_BLOCK_MULTIPLE")
def length_of_a_block(rng, value):
    rows, n = factors(at("UNPACKED_GEMM_WORK") // value)
    m = n + 3 * value
    hold_blocked(rng, rows, n, m)
    hold_blocked(rng, rows, m, n)


@case("COLUMN_TILE_MIN", "COLUMN_TILE_MAX")
def columns_that_are_not_packed(rng, value):
    """So many rows and so long that just `value` columns may be multiplied; also one more."""
    n = max(at("UNPACKED_GEMM_WORK") // (2 * max(value, 1)), 1)
    m = at("UNTILED_GEMM_WEIGHTS") // n + 2 * value + 1
    hold_product(rng, 2, n, m)
    hold_product(rng, 2, n, m + 1)


@case("UPCAST_TILE")
def numbers_that_are_upcast(rng, value):
    for stored in (normal(rng, value).astype(np.float16), to_bfloat16(normal(rng, value))):
        assert np.array_equal(upcast(stored), ops.upcast(stored))
    hold_mixed(rng, 2, 3, value)
    hold_mixed(rng, 2, value, 3)


@case("UPCAST_SHARED_TILE")
def columns_that_are_upcast_together(rng, value):
    """In columns: a number more would be one of W's many rows."""
    n, _ = factors(at("UPCAST_SHARED_TILE"))
    hold_mixed(rng, at("MIXED_GEMM_ROWS") + 1, n, value - at("UPCAST_SHARED_TILE") * (n - 1) // n)


@case("MIXED_GEMM_ROWS")
def rows_of_a_matrix_in_16_bits(rng, value):
    hold_mixed(rng, value, 7, 9)


@case("SPLIT_K_PIECES")
def rows_of_weights_in_16_bits(rng, value):
    hold_mixed(rng, 2, value, 5)
    hold_mixed(rng, 2, 4 * value, 5)


@case("ONE_THREAD_GEMM_WORK", "MIXED_COLUMN_TILE")
def columns_in_16_bits(rng, value):
    """For the work, as deep as makes a tile of columns just that much; for columns, so many."""
    columns, rows = at("MIXED_COLUMN_TILE"), at("MIXED_GEMM_ROWS")
    if value <= columns + 1:
        hold_mixed(rng, 2, 4, value)
    else:
        for depth in (value // (rows * columns), value // (rows * columns) + 1):
            hold_mixed(rng, rows, max(depth, 1), 3 * columns)


@case("ONE_THREAD_GEMV_WORK")
def depth_of_a_row_in_16_bits(rng, value):
    hold_mixed(rng, 1, value, 5)
    hold_mixed(rng, 1, max(value // 2, 1), 5)


@case("ATTENTION_UNTILED_SCORES")
def scores(rng, value):
    query, key = factors(value)
    hold_attention(rng, 1, query, key)


@case("ATTENTION_TILE_QUERIES")
def queries(rng, value):
    key = at("ATTENTION_UNTILED_SCORES") // value + 2
    hold_attention(rng, 2, value, max(key, value))


@case("ATTENTION_TILE_SCORES")
def heads_of_a_tile(rng, value):
    """As many keys as make 4 heads a tile of so many scores; and 3 to 5 heads."""
    query = at("ATTENTION_TILE_QUERIES")
    for key in (value // (4 * query), value // (4 * query) + 1):
        for head in (3, 4, 5):
            hold_attention(rng, head, query, key)


@case("ROW_TILE")
def numbers_of_rows(rng, value):
    for shape in (factors(value), factors(value)[::-1]):
        x = normal(rng, *shape)
        wide = x.astype(np.float64)
        both = (np.float32, np.float64)
        allowed = sum(bounds.gelu_new(x, dtype=d) for d in both)
        within(gelu_new(x), ops.gelu_new(wide), allowed)
        ln = normal(rng, shape[1]), normal(rng, shape[1])
        bound = bounds.layer_norm
        allowed = sum(bound(x, *ln, eps=1e-5, dtype=d) for d in both)
        expected = ops.layer_norm(wide, *(a.astype(np.float64) for a in ln), eps=1e-5)
        within(layer_norm(x, *ln, eps=1e-5), expected, allowed)


@case("ALIASING_STRIDE", "CACHE_LINE")
def distance_of_rows(rng, value):
    """What is written to a cache of such rows is read back; rows do not alias, and waste little."""
    for length in (value, 2 * value, 3 * value, at("ALIASING_STRIDE")):
        stride = padded_stride(length)
        assert length <= stride <= length + at("CACHE_LINE")
        assert stride % at("ALIASING_STRIDE") or not length
    model = toy_model(n_positions=2 * value)
    config = model.arguments[1]
    key, value_ = normal(rng, 1, 2, value, 2), normal(rng, 1, 2, value, 2)
    cache = empty_cache(config, 1, np.float32).extend(np.ones((1, value), bool))
    cache.write(0, key, value_)
    cache = cache.extend(np.ones((1, 1), bool))
    keys, values, _ = cache.layer(0)
    assert np.array_equal(keys[:, :, :value], key)
    assert np.array_equal(values[:, :, :value], value_)


@case("TRANSPOSE_BLOCK")
def side_of_a_matrix(rng, value):
    for shape in ((value, 2 * value + 1), (2 * value, value)):
        matrix = normal(rng, *shape)
        turned = to_column_major(matrix)
        assert turned.flags.f_contiguous
        assert np.array_equal(turned, matrix)


def toy_model(n_positions):
    config = {
        "vocab_size": 5, "n_positions": n_positions, "n_embd": 4, "n_layer": 1, "n_head": 2,
        "n_inner": None, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
    }  # fmt: skip
    return TinyModel(config, build_weights("trained", 0, config), "float32")


@case("PREFILL_COLUMNS")
def columns_of_a_prompt(rng, value):
    model = toy_model(n_positions=value)
    row = rng.integers(0, 5, value)
    computed = prefill(row[None], *model.arguments, logits_to_keep=3).logits[0]
    measured = model.measure(row)
    within(computed, measured.logits[-3:], measured.allowed())


@case("SCORE_COLUMNS")
def columns_of_a_score(rng, value):
    model = toy_model(n_positions=value)
    row = rng.integers(0, 5, value + 1)
    computed = log_probabilities(row, *model.arguments)
    measured = model.measure(row[:-1])
    expected = special.log_softmax(measured.logits, axis=-1)[np.arange(value), row[1:]]
    # A log-probability moves by at most twice what the logits do, and rounds in float64.
    within(computed, expected, 2 * measured.allowed() + 2.0**-50 * (1 + np.abs(expected)))


def test_the_page_on_performance_states_the_thresholds_that_there_are():
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for statement in (
        f"tiles of {at('ATTENTION_TILE_QUERIES')} queries",
        f"tiles of {at('ROW_TILE') >> 10} K numbers",
        f"2 to {at('SKINNY_GEMM_ROWS')} rows",
        f"{at('SKINNY_GEMM_ROWS') + 1} to {at('LONG_MATRIX_FIRST_ROWS')} rows",
        f"tiles of {at('COLUMN_TILE_MAX')} columns",
    ):
        assert statement in " ".join(text.split()), statement


def test_every_threshold_has_a_case():
    assert set(CASES) == set(NAMES)


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("name", NAMES)
def test_beside_the_formula_at_the_real_threshold(name, offset):
    """Once each: a case takes up to half a second, and toy ones find what sizes do not."""
    with three_threads():
        for function in CASES[name]:
            function(np.random.default_rng(0), at(name) + offset)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"PREFILL_COLUMNS"}))
@whole_models
@given(st.sampled_from(OFFSETS), st.integers(0, MAX_SEED))
def test_beside_the_formula_at_a_toy_one(name, offset, seed):
    with three_threads(), thresholds(**TOY_SIZES):
        for function in CASES[name]:
            function(np.random.default_rng(seed), max(at(name) + offset, 1))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"PREFILL_COLUMNS"}))
def test_the_cases_stand_on_either_side(name):
    """With the threshold lowered by one, the case at its old value goes another way.

    PREFILL_COLUMNS is a default, which is bound where `prefill` is defined.
    """
    assert way(name, by=-1) != way(name, by=0)


def way(name, *, by):
    """Each call of a kernel in the cases of a threshold: where it returned, and of which sizes."""
    calls = []

    def on_event(frame, event, result):
        if event == "return" and frame.f_globals["__name__"].startswith(
            ("npgpt._kernels", "npgpt.model")
        ):
            sizes = [_size(v) for v in (*frame.f_locals.values(), result)]
            calls.append((frame.f_code.co_name, frame.f_lineno, sizes))

    value = {**{n: at(n) for n in NAMES}, **TOY_SIZES}[name]
    with ExitStack() as stack:
        stack.enter_context(three_threads())
        stack.enter_context(patched(parallel_for=lambda work, items: [*map(work, items)] and None))
        stack.enter_context(thresholds(**TOY_SIZES | {name: value + by}))
        for function in CASES[name]:
            for offset in OFFSETS:
                rng = np.random.default_rng(0)
                # The cases take their other sizes from the thresholds as they are unmoved.
                with mock.patch.object(THRESHOLDS, name, value):
                    sys.setprofile(on_event)
                    try:
                        with suppress(AssertionError):  # of strides, which have moved
                            function(rng, value + offset)
                    finally:
                        sys.setprofile(None)
    return calls


def _size(value):
    if isinstance(value, np.ndarray):
        return value.shape
    return value if isinstance(value, int | slice | list | tuple) and _plain(value) else None


def _plain(value):
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return isinstance(value, int | slice)
