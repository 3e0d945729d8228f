"""The golden vectors: the same each time, readable by plain code, and true."""

import json
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from npgpt._config import from_json
from npgpt._gpt import GPT
from npgpt.model._forward import forward
from npgpt.model._parameters import from_arrays
from oracle import tokenizer
from oracle.bounds._compare import excess
from oracle.decoding._decoders import decoder_of
from oracle.golden._cases import MODELS
from oracle.golden._vectors import safetensors, write
from oracle.ops._softmax import softmax
from oracle.strategies._decoding_problems import DECODERS

IDS = [case.id for case in MODELS]
NUMBERS = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "BOOL": "?"}
LARGEST_FILE = 100_000
IN_NODE = """
const data = require("fs").readFileSync(process.argv[1]);
const start = 8 + Number(data.readBigUInt64LE(0));
const header = JSON.parse(data.toString("utf8", 8, start));
const sums = {};
for (const [name, {dtype, shape, data_offsets: [from, to]}] of Object.entries(header)) {
  const size = {F64: 8, F32: 4, I64: 8, BOOL: 1}[dtype];
  if (to - from !== size * shape.reduce((a, b) => a * b, 1)) throw Error(name);
  if (dtype === "F64" && !name.includes("scores")) {
    sums[name] = 0;
    for (let at = from; at < to; at += 8) sums[name] += data.readDoubleLE(start + at);
  }
}
console.log(JSON.stringify(sums));
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("vectors")
    write(path)
    return path


def read(path):
    """As anybody would, without the package."""
    data = Path(path).read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    found = {}
    for name, about in json.loads(data[8:start]).items():
        first, last = (start + offset for offset in about["data_offsets"])
        numbers = np.frombuffer(data[first:last], NUMBERS[about["dtype"]])
        found[name] = numbers.reshape(about["shape"])
    return found


def case(folder, name):
    facts = json.loads((folder / f"{name}.json").read_text())
    return read(folder / f"{name}.safetensors"), facts


def weights_of(arrays):
    named = {name.removeprefix("weights/"): a for name, a in arrays.items() if "weights/" in name}
    return {name: array.copy() for name, array in named.items()}


def npgpt_model(arrays, facts):
    config = from_json(facts["config"])
    return from_arrays(weights_of(arrays), config), config


def test_written_twice_they_are_the_same(folder, tmp_path):
    for path in write(tmp_path / "new" / "folder"):
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_every_file_is_listed_and_small(folder):
    index = json.loads((folder / "index.json").read_text())
    listed = {name for row in index["cases"] for name in row["files"]}
    assert listed | {"index.json", "README.md"} == {path.name for path in folder.iterdir()}
    assert all(path.stat().st_size < LARGEST_FILE for path in folder.iterdir())
    assert [row["id"] for row in index["cases"]] == [*IDS, "tokenizer"]


def test_the_package_reads_the_same(folder):
    for name in IDS:
        plain = read(folder / f"{name}.safetensors")
        packaged = load_file(folder / f"{name}.safetensors")
        assert plain.keys() == packaged.keys()
        for key, array in plain.items():
            np.testing.assert_array_equal(array, packaged[key])
            assert array.dtype == packaged[key].dtype


def test_a_scalar_and_an_empty_array_can_be_written(tmp_path):
    arrays = {"scalar": np.array(2.0), "empty": np.zeros((0, 3), np.float32)}
    (tmp_path / "odd").write_bytes(safetensors(arrays))
    found = read(tmp_path / "odd")
    assert {name: array.shape for name, array in found.items()} == {"scalar": (), "empty": (0, 3)}


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_node_reads_them(folder):
    path = folder / "padded-left.safetensors"
    done = subprocess.run(
        ["node", "-e", IN_NODE, str(path)], capture_output=True, text=True, check=True
    )
    sums = json.loads(done.stdout)
    arrays = read(path)
    assert "activations/logits" in sums
    for name, total in sums.items():
        # In node's order, so that the sums are equal and not merely near.
        assert total == sum(arrays[name].ravel().tolist())


@pytest.mark.parametrize("name", IDS)
def test_activations_follow_from_one_another(folder, name):
    arrays, facts = case(folder, name)
    seen = {key.removeprefix("activations/"): a for key, a in arrays.items() if "activ" in key}
    config = facts["config"]
    real = arrays["mask"]
    x = seen["token_embedding"] + seen["position_embedding"]
    table = arrays["weights/wte.weight"]
    np.testing.assert_array_equal(seen["token_embedding"], table[arrays["tokens"]])
    for layer in range(config["n_layer"]):
        at = {key.split("/")[0]: a for key, a in seen.items() if key.endswith(f"/{layer}")}
        np.testing.assert_array_equal(at["resid_pre"], x)
        np.testing.assert_array_equal(at["resid_mid"], x + at["attn_out"])
        x = at["resid_mid"] + at["mlp_out"]
        np.testing.assert_array_equal(at["resid_post"], x)
        pattern = softmax(torch.tensor(at["scores"])).numpy()
        np.testing.assert_array_equal(at["pattern"], pattern)
        later = np.triu(np.ones((real.shape[1],) * 2, bool), 1)
        assert not (at["pattern"] * later).any()
        assert not (at["pattern"] * ~real[:, None, None, :]).any()
    head = "wte" if config["tie_word_embeddings"] else "lm_head"
    assert arrays[f"weights/{head}.weight"].shape[0] == seen["logits"].shape[-1]


@pytest.mark.parametrize("name", IDS)
def test_npgpt_is_within_what_is_allowed(folder, name):
    arrays, facts = case(folder, name)
    model = npgpt_model(arrays, facts)
    seen = {}

    def tap(key, layer, array):
        seen[key if layer is None else f"{key}/{layer}"] = array
        return array

    tokens, mask = arrays["tokens"], arrays["mask"]
    forward(tokens, *model, mask=mask, tap=tap)
    allowed = facts["allowed"]["float32"]
    assert set(allowed) == {k.removeprefix("activations/") for k in arrays if "activ" in k}
    for row, real in enumerate(mask):
        # Attention's arrays have padding on two axes, so they are compared where there is none.
        for key in allowed if mask.all() else ("logits", "ln_f", "token_embedding"):
            expected, found = arrays[f"activations/{key}"][row], seen[key][row]
            if not mask.all():
                expected, found = expected[real], found[real]
            assert excess(found, expected, allowed[key][row]) <= 1


@pytest.mark.parametrize("name", IDS)
def test_npgpt_generates_the_same(folder, name):
    arrays, facts = case(folder, name)
    parameters, config = npgpt_model(
        {key: a.astype(np.float64) if "weights/" in key else a for key, a in arrays.items()}, facts
    )
    gpt = GPT(config, parameters, None, {})
    assert [decoder_of(row["settings"]) for row in facts["generated"]] == list(DECODERS)
    for row in facts["generated"]:
        uniforms = None if row["uniforms"] is None else np.array(row["uniforms"])
        found = gpt.generate([row["prompt"]], uniforms=uniforms, **row["settings"])
        assert [list(map(int, each)) for each in found.sequences] == row["sequences"]
        assert list(found.stopped) == row["stopped"]


def test_pieces_give_what_the_whole_gives(folder):
    arrays, facts = case(folder, "in-pieces")
    pieces = [arrays[f"chunks/{i}/logits"] for i in range(len(facts["chunks"]))]
    assert [piece.shape[1] for piece in pieces] == facts["chunks"]
    joined, whole = np.concatenate(pieces, 1), arrays["activations/logits"]
    for row, allowed in enumerate(facts["allowed"]["float32"]["logits"]):
        assert excess(joined[row], whole[row], allowed) <= 1


def test_npgpt_scores_the_text_alike(folder):
    arrays, facts = case(folder, "perplexity")
    gpt = GPT(*reversed(npgpt_model(arrays, facts)), None, {})
    found = gpt.score(arrays["text"].tolist(), stride=facts["stride"])
    logs = np.asarray(found.log_probabilities)[1:]
    # Each logit may be off by so much, and the logarithm of their sum too.
    allowed = 2 * max(facts["allowed"]["float32"]["logits"])
    assert excess(logs, arrays["log_probabilities"], allowed) <= 1
    mean = torch.tensor(arrays["log_probabilities"]).mean()
    assert facts["perplexity"] == float((-mean).exp())


def test_the_tokenizer_case_is_what_the_oracle_says(folder):
    facts = json.loads((folder / "tokenizer.json").read_text())
    merges = [tuple(pair) for pair in facts["merges"]]
    for row in facts["encode"]:
        assert tokenizer.encode(facts["vocabulary"], merges, row["text"]) == row["ids"]
        assert tokenizer.decode(facts["vocabulary"], merges, row["ids"]) == row["text"]
    assert any(max(row["ids"], default=0) > 255 for row in facts["encode"])
    assert all("\ufffd" in row["text"] for row in facts["decode"])
