import time
from pathlib import Path

import numpy as np
import pytest

from npgpt.checkpoints._dialects import common_prefix, without_prefix
from npgpt.checkpoints._loading import settle_tied_head
from npgpt.checkpoints._tensors import FLOAT16, FLOAT32, Stored
from npgpt.errors import CheckpointError


def stored(*values, dtype=FLOAT32):
    return Stored(dtype, np.array(values, dtype.bits), Path("model.safetensors"))


def test_prefixes():
    assert common_prefix([]) == ""
    assert common_prefix(["lm_head.weight"]) == ""
    assert common_prefix(["wte.weight", "h.0.ln_1.bias"]) == ""
    assert common_prefix(["lm_head.weight", "transformer.ln_f.bias"]) == "transformer."


def test_prefixes_without_end():
    start = time.process_time()
    assert common_prefix(["module." * 100_000]).startswith("module." * 10)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("start", ["", "transformer."])
def test_names_and_order_without_prefix_and_buffers(start):
    names = ["h.1.attn.bias", "wte.weight", "h.0.attn.masked_bias", "h.11.attn.bias", "x"]
    tensors = {start + name: name for name in names} | {"lm_head.weight": "lm_head.weight"}
    found = without_prefix(tensors, "there")
    assert list(found.items()) == [(n, n) for n in ("wte.weight", "x", "lm_head.weight")]


@pytest.mark.parametrize(
    "name", ["h.0.attn.bias2", "h..attn.bias", "h.x.attn.bias", "xh.0.attn.bias",
             "h.0.attn.c_attn.bias", "attn.bias", "h.0.attn.bias.", "H.0.attn.bias"]
)  # fmt: skip
def test_what_only_looks_like_a_buffer_is_kept(name):
    assert without_prefix({name: 1}, "there") == {name: 1}


@pytest.mark.parametrize("name", ["", "a b", "a\n", "h.٣.attn.bias", "\x1b[2J", "x" * 101])
def test_names_that_no_tensor_has(name):
    with pytest.raises(CheckpointError, match="there: no tensor of a GPT-2 is named ") as caught:
        without_prefix({"wte.weight": 1, name: 2}, "there")
    assert str(caught.value).isprintable()


def test_mixed_prefixes():
    with pytest.raises(CheckpointError, match=r"there: some names .*: 'wte.weight', 'h'; a check"):
        without_prefix(
            {"transformer.wte.weight": 1, "wte.weight": 2, "h": 3, "lm_head.weight": 4}, "there"
        )


def test_no_message_grows_with_the_number_of_names():
    names = {f"a{i}": 1 for i in range(5_000)}
    with pytest.raises(CheckpointError, match="'a19' and 4980 more") as caught:
        without_prefix({"transformer.wte.weight": 1, **names}, "there")
    assert len(str(caught.value)) < 400


def test_two_names_for_the_head():
    with pytest.raises(CheckpointError, match="are the same name"):
        without_prefix({"transformer.lm_head.weight": 1, "lm_head.weight": 2}, "there")


def test_a_head_of_its_own_is_kept():
    tensors = {"wte.weight": stored(1), "lm_head.weight": stored(2)}
    assert settle_tied_head(tensors, False, "there") == tensors


def test_a_tied_head_may_be_there_twice_once_or_under_its_other_name():
    table = stored(1, np.nan, 0)
    for head in (table, stored(1, np.nan, 0)):
        both = {"wte.weight": table, "lm_head.weight": head}
        assert settle_tied_head(both, True, "there") == {"wte.weight": table}
    assert settle_tied_head({"wte.weight": table}, True, "there") == {"wte.weight": table}
    assert settle_tied_head({"lm_head.weight": table}, True, "there") == {"wte.weight": table}
    assert settle_tied_head({}, True, "there") == {}


def test_a_tied_head_of_no_dimension():
    one, other = (Stored(FLOAT32, np.array(3, np.float32), Path()) for _ in range(2))
    assert settle_tied_head({"wte.weight": one, "lm_head.weight": other}, True, "there") == {
        "wte.weight": one
    }


@pytest.mark.parametrize(
    "head", [stored(1, 2, 4), stored(1, 2), stored(1, 2, 3, dtype=FLOAT16), stored(1, 2, np.nan)]
)
def test_a_tied_head_that_is_another(head):
    tensors = {"wte.weight": stored(1, 2, 3), "lm_head.weight": head}
    with pytest.raises(CheckpointError, match=r"there: the config ties lm_head.weight to wte"):
        settle_tied_head(tensors, True, "there")
    assert len(tensors) == 2
