"""Files that the package gguf writes, as llama.cpp's converter does, read to the same numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt._config import Config, from_json
from npgpt.checkpoints._gguf.reader import read_gguf
from npgpt.errors import NpgptError
from tests.helpers.checkpoint_making import is_mapped
from tests.helpers.gguf_making import (
    BOOL,
    F16,
    FLOAT32,
    INT32,
    PAIRS,
    Q8_0,
    TABLE,
    TEXT,
    TOKENIZER,
    TYPES,
    WORDS,
    array,
    info,
    number,
    of,
    uint32,
)

gguf = pytest.importorskip("gguf", reason="the package gguf is not installed")

SMALL = Config(
    vocab_size=260, n_positions=6, n_embd=32, n_head=2, n_layer=2, n_inner=64, bos_token_id=259,
    eos_token_id=259,
)  # fmt: skip
TYPE = gguf.GGMLQuantizationType
DTYPES = {TYPE.F32: np.float32, TYPE.F16: np.float16, TYPE.F64: np.float64}


def arrays(*, head=False):
    """A model's tensors by GGUF's names, matrices (out, in)."""
    E, F = SMALL.n_embd, SMALL.inner
    block = {
        "attn_norm.weight": (E,), "attn_norm.bias": (E,),
        "attn_qkv.weight": (3 * E, E), "attn_qkv.bias": (3 * E,),
        "attn_output.weight": (E, E), "attn_output.bias": (E,),
        "ffn_norm.weight": (E,), "ffn_norm.bias": (E,),
        "ffn_up.weight": (F, E), "ffn_up.bias": (F,),
        "ffn_down.weight": (E, F), "ffn_down.bias": (E,),
    }  # fmt: skip
    shapes = {
        TABLE: (SMALL.vocab_size, E),
        "position_embd.weight": (SMALL.n_positions, E),
        **{f"blk.{i}.{name}": s for i in range(SMALL.n_layer) for name, s in block.items()},
        "output_norm.weight": (E,),
        "output_norm.bias": (E,),
        **({"output.weight": (SMALL.vocab_size, E)} if head else {}),
    }
    rng = np.random.default_rng(6)
    return {name: rng.standard_normal(s).astype(np.float32) for name, s in shapes.items()}


def write(path, tensors, form, *, alignment=None):
    """Write the file; as in the converter, only matrices are narrower than float32."""
    writer = gguf.GGUFWriter(path, "gpt2")
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_name("a test")
    writer.add_block_count(SMALL.n_layer)
    writer.add_context_length(SMALL.n_positions)
    writer.add_embedding_length(SMALL.n_embd)
    writer.add_feed_forward_length(SMALL.inner)
    writer.add_head_count(SMALL.n_head)
    writer.add_layer_norm_eps(1e-5)
    writer.add_file_type(1)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(WORDS)
    writer.add_token_types(TYPES)
    writer.add_token_merges(PAIRS)
    writer.add_bos_token_id(259)
    writer.add_eos_token_id(259)
    writer.add_add_bos_token(False)
    for name, tensor in tensors.items():
        if tensor.ndim == 1:
            writer.add_tensor(name, tensor)
        elif form in DTYPES:
            writer.add_tensor(name, tensor.astype(DTYPES[form]))
        else:
            writer.add_tensor(name, gguf.quants.quantize(tensor, form), raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def as_gguf_reads(path):
    """The numbers by name, in C order, of the package's own reader."""
    reader = gguf.GGUFReader(path)
    found = {}
    for tensor in reader.tensors:
        shape = tuple(int(size) for size in reversed(tensor.shape))
        if tensor.tensor_type == TYPE.F64:
            numbers = tensor.data
        else:
            numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        found[tensor.name] = numbers.reshape(shape)
    return found


def numbers(stored):
    if stored.dtype.name == "bfloat16":
        return (stored.data.astype(np.uint32) << 16).view(np.float32)
    return stored.data


@pytest.mark.parametrize("form", [TYPE.F32, TYPE.F16, TYPE.BF16, TYPE.F64, TYPE.Q8_0])
def test_the_numbers_of_the_package_gguf(tmp_path, form):
    path = tmp_path / "a.gguf"
    write(path, arrays(), form)
    weights = read_gguf(path)
    theirs = as_gguf_reads(path)
    assert (weights.form, weights.files) == ("GGUF", (path,))
    assert list(weights.tensors) == list(theirs) == list(arrays())
    for name, stored in weights.tensors.items():
        assert stored.data.shape == arrays()[name].shape
        assert not stored.data.flags.writeable
        assert is_mapped(stored.data) == (form != TYPE.Q8_0 or stored.data.ndim == 1)
        np.testing.assert_array_equal(numbers(stored), theirs[name], strict=form != TYPE.F16)


def test_the_config_and_the_tokenizer(tmp_path):
    path = tmp_path / "a.gguf"
    write(path, arrays(), TYPE.F32)
    weights = read_gguf(path)
    assert from_json(weights.config) == SMALL
    assert weights.tokenizer == TOKENIZER


def test_a_head_of_its_own(tmp_path):
    path = tmp_path / "a.gguf"
    write(path, arrays(head=True), TYPE.F16)
    assert read_gguf(path).config["tie_word_embeddings"] is False


@pytest.mark.parametrize("alignment", [1, 8, 64, 4096])
def test_alignments(tmp_path, alignment):
    path = tmp_path / "a.gguf"
    write(path, arrays(), TYPE.F16, alignment=alignment)
    theirs = as_gguf_reads(path)
    for name, stored in read_gguf(path).tensors.items():
        np.testing.assert_array_equal(numbers(stored), theirs[name])


@pytest.mark.parametrize("version", [2, 3])
def test_versions(tmp_path, version):
    path = tmp_path / "a.gguf"
    path.write_bytes(of(version=version))
    assert list(read_gguf(path).tensors) == [TABLE]


def test_tensors_in_another_order_than_their_data(tmp_path):
    path = tmp_path / "a.gguf"
    infos = [("b", info((4,), offset=32)), (TABLE, info((2, 4)))]
    data = np.arange(12, dtype="<f4").tobytes()
    path.write_bytes(of(tensors=infos, data=data))
    tensors = read_gguf(path).tensors
    assert list(tensors) == ["b", TABLE]
    assert tensors["b"].data.tolist() == [8, 9, 10, 11]
    assert tensors[TABLE].data.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_values_that_are_of_no_use_are_passed_over(tmp_path):
    path = tmp_path / "a.gguf"
    more = {f"a.{code}": number(code, 1) for code in (0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12)}
    more |= {f"b.{code}": array(code, [1, 0]) for code in (0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12)}
    path.write_bytes(of({**more, "c": array(FLOAT32, []), "é": uint32(1)}))
    assert from_json(read_gguf(path).config).n_layer == 2


def test_an_epsilon_that_float32_rounds(tmp_path):
    path = tmp_path / "a.gguf"
    path.write_bytes(of({"gpt2.attention.layer_norm_epsilon": number(FLOAT32, 1e-12)}))
    assert read_gguf(path).config["layer_norm_epsilon"] == 1e-12


FEW = of(
    {"a": array(TEXT, ["x", "yy"]), "b": array(INT32, [1, 2]), "c": number(BOOL, 1)},
    tensors=[(TABLE, info((2, 4))), ("q", info((1, 32), Q8_0, 32)), ("r", info((3,), F16, 96))],
    data=np.arange(102, dtype=np.uint8).tobytes(),
)


@given(st.data())
def test_a_file_with_some_bytes_changed(new_path, data):
    """It is refused, or the package gguf reads the same from it."""
    changed = bytearray(FEW)
    for place in data.draw(st.lists(st.integers(0, len(FEW) - 1), min_size=1, max_size=3)):
        changed[place] = data.draw(st.integers(0, 255) | st.integers(0, 13))
    path = new_path(".gguf")
    path.write_bytes(changed)
    try:
        tensors = read_gguf(path).tensors
    except NpgptError:
        return
    with np.errstate(invalid="ignore", over="ignore"):
        theirs = as_gguf_reads(path)
    assert tensors.keys() == theirs.keys()
    for name, stored in tensors.items():
        np.testing.assert_array_equal(numbers(stored), theirs[name])
