import struct
import tracemalloc

import numpy as np
import pytest

from npgpt._config import Config, from_json
from npgpt.checkpoints._llmc import read_llmc
from npgpt.errors import CheckpointError
from tests.helpers.checkpoint_making import is_mapped
from tests.helpers.llmc_making import MAGIC, SIZES, bin_bytes, count, header
from tests.helpers.reader_refusals import check_refused

POSITIONS, TOKENS, LAYERS, HEADS, WIDTH, PADDED = SIZES
# One layer's tensors, in the order of llm.c's ParameterTensors.
BLOCK = {
    "ln_1.weight": (WIDTH,),
    "ln_1.bias": (WIDTH,),
    "attn.c_attn.weight": (3 * WIDTH, WIDTH),
    "attn.c_attn.bias": (3 * WIDTH,),
    "attn.c_proj.weight": (WIDTH, WIDTH),
    "attn.c_proj.bias": (WIDTH,),
    "ln_2.weight": (WIDTH,),
    "ln_2.bias": (WIDTH,),
    "mlp.c_fc.weight": (4 * WIDTH, WIDTH),
    "mlp.c_fc.bias": (4 * WIDTH,),
    "mlp.c_proj.weight": (WIDTH, 4 * WIDTH),
    "mlp.c_proj.bias": (WIDTH,),
}


def numbered():
    """Tensors of which no two numbers are alike, and their numbers in the file's order."""
    fresh = iter(range(1, 10**6))

    def take(shape):
        return np.array([next(fresh) for _ in range(np.prod(shape))]).reshape(shape)

    table = take((PADDED, WIDTH))
    expected = {"wte.weight": table[:TOKENS], "wpe.weight": take((POSITIONS, WIDTH))}
    order = [table, expected["wpe.weight"]]
    for name, shape in BLOCK.items():
        for layer in range(LAYERS):
            expected[f"h.{layer}.{name}"] = take(shape)
            order.append(expected[f"h.{layer}.{name}"])
    for name in ("ln_f.weight", "ln_f.bias"):
        expected[name] = take((WIDTH,))
        order.append(expected[name])
    numbers = [int(n) for array in order for n in array.flat]
    assert len(numbers) == count()
    return {f"transformer.{name}": array for name, array in expected.items()}, numbers


def test_float32(tmp_path):
    expected, numbers = numbered()
    path = tmp_path / "model.bin"
    path.write_bytes(bin_bytes(numbers=struct.pack(f"<{len(numbers)}f", *numbers)))
    weights = read_llmc(path)
    assert (weights.form, weights.files, weights.tokenizer) == ("llm.c", (path,), None)
    assert weights.tensors.keys() == expected.keys()
    for name, stored in weights.tensors.items():
        assert stored.dtype.name == "float32"
        assert is_mapped(stored.data)
        assert not stored.data.flags.writeable
        assert stored.data.tolist() == expected[name].tolist()


def test_bfloat16(tmp_path):
    expected, numbers = numbered()
    path = tmp_path / "model_bf16.bin"
    path.write_bytes(bin_bytes(version=5, numbers=struct.pack(f"<{len(numbers)}H", *numbers)))
    for name, stored in read_llmc(path).tensors.items():
        assert stored.dtype.name == "bfloat16"
        assert stored.data.tolist() == expected[name].tolist()


def test_the_config(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(bin_bytes())
    assert from_json(read_llmc(path).config) == Config(
        vocab_size=TOKENS, n_positions=POSITIONS, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS
    )


def test_that_the_writer_counts_as_llmc_does():
    # The lengths of gpt2_124M.bin, and how many parameters it has without padding.
    assert 1024 + 4 * count((1024, 50257, 12, 12, 768, 50304)) == 497_904_640
    assert count((1024, 50257, 12, 12, 768, 50257)) == 124_439_808


def sized(**changes):
    """A header with some sizes changed, before the data of the others."""
    names = ("positions", "tokens", "layers", "heads", "width", "padded")
    return header([changes.get(n, s) for n, s in zip(names, SIZES, strict=True)]) + bytes(
        4 * count()
    )


MOST = 2**31 - 1
BAD = {
    "one byte": (b"\x16", "1 bytes; llm.c's files start with a header of 1024"),
    "header cut short": (header()[:-1], "1023 bytes; llm.c's files start with a header of 1024"),
    "another magic": (bin_bytes(magic=MAGIC + 1), "starts with 20240327, not 20240326"),
    "big-endian": (header(order=">") + bytes(4 * count()), "not 20240326; this is no file of"),
    "version 0": (bin_bytes(version=0), "version 0; npgpt reads 3 (float32) and 5 (bfloat16)"),
    "version 1": (bin_bytes(version=1), "version 1; npgpt reads"),
    "version 4": (bin_bytes(version=4), "version 4; npgpt reads"),
    "version 6": (bin_bytes(version=6), "version 6; npgpt reads"),
    "version -3": (bin_bytes(version=-3), "version -3; npgpt reads"),
    "one number more": (bin_bytes(rest=[7]), "number 8 of the header is 7; expected 0"),
    "the last number": (bin_bytes(rest=[0] * 247 + [-1]), "number 255 of the header is -1"),
    "no positions": (sized(positions=0), "n_positions is 0; give a whole number, 1 or more"),
    "no tokens": (sized(tokens=0), "vocab_size is 0; give a whole number, 1 or more"),
    "negative tokens": (sized(tokens=-5), "vocab_size is -5"),
    "negative layers": (sized(layers=-1), "n_layer is -1; give a whole number, 0 or more"),
    "no heads": (sized(heads=0), "n_head is 0"),
    "negative heads": (sized(heads=-2), "n_head is -2"),
    "heads do not divide": (sized(heads=3), "n_embd is 4, which n_head = 3 does not divide"),
    "no width": (sized(width=0), "n_embd is 0"),
    "negative width": (sized(width=-4), "n_embd is -4"),
    "less with padding": (sized(padded=4), "padded_vocab_size is 4, less than vocab_size, 5"),
    "negative padding": (sized(padded=-8), "padded_vocab_size is -8, less than vocab_size"),
    "a layer more": (sized(layers=3), "a model of these sizes takes 4160; cut short"),
    "a layer less": (sized(layers=1), "a model of these sizes takes 2208; something was added"),
    "4097 layers": (sized(layers=4097), "n_layer is 4097; npgpt reads at most 4096"),
    "2^31 layers": (sized(layers=MOST), "n_layer is 2147483647; npgpt reads at most 4096"),
    "2^31 positions": (sized(positions=MOST), "takes 34359741488; cut short"),
    "2^31 tokens": (sized(tokens=MOST, padded=MOST), "takes 34359741408; cut short"),
    "a width of 2^31": (sized(width=MOST, heads=1), "cut short"),
    "all of 2^31": (header([MOST] * 6), "npgpt reads at most 4096"),
    "sizes that overflow to 0": (sized(width=2**30, heads=1), "cut short"),
    "no data": (header(), "1024 bytes, but a model of these sizes takes 3184; cut short"),
    "a byte less": (bin_bytes()[:-1], "3183 bytes, but a model of these sizes takes 3184"),
    "a byte more": (bin_bytes(more=b"\0"), "takes 3184; something was added"),
    "float32 said to be bfloat16": (header(version=5) + bytes(4 * count()), "takes 2104; someth"),
    "bfloat16 said to be float32": (header() + bytes(2 * count()), "takes 3184; cut short"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "said"), BAD.values(), ids=BAD)
def test_bad_files(tmp_path, data, said):
    path = tmp_path / "bad.bin"
    path.write_bytes(data)
    check_refused(read_llmc, path, said)


def test_a_file_cut_at_any_place(new_path):
    whole = bin_bytes()
    for length in range(1, len(whole), 9):
        path = new_path()
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=f"^{path}: "):
            read_llmc(path)


def test_a_model_that_is_deep_and_narrow(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(bin_bytes((1, 1, 512, 1, 1, 1)))
    tracemalloc.start()
    try:
        assert len(read_llmc(path).tensors) == 4 + 12 * 512
        # An eighth of the most layers takes an eighth of what is allowed.
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size + 64 * 2**20 // 8
    finally:
        tracemalloc.stop()
