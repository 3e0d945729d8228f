"""llama.cpp before the judge, called and as a server: `tox -e engines-llama_cpp`."""

import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing

import numpy as np
import pytest
import torch

from oracle import model
from oracle.checkpoints import read_folder, write
from oracle.conformance._program import main

llama_cpp = pytest.importorskip(
    "llama_cpp", reason="it is not installed; run `tox -e engines-llama_cpp`"
)
CHECKPOINT = "weights/shakespeare"


@pytest.fixture(scope="module")
def files():
    return read_folder(CHECKPOINT)


@pytest.fixture(scope="module")
def path(files, tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "gpt2.gguf"
    return write(path, files.config, files.weights, files.tokenizer, format="gguf")


def test_it_cuts_texts_as_the_checkpoint_does(path, files):
    loaded = llama_cpp.Llama(str(path), n_ctx=0, verbose=False)
    text = "To be, or not to be: that is the question.\n  He'll caf\u00e9"
    assert loaded.tokenize(text.encode(), add_bos=False) == files.tokenizer.encode(text)


def test_its_gelu_goes_through_float16(path, files):
    """Why it is no float32: after one token that alone accounts for its numbers."""
    options = {"n_ctx": 0, "n_threads": 1, "type_k": 0, "type_v": 0}
    loaded = llama_cpp.Llama(str(path), logits_all=True, verbose=False, **options)
    loaded.eval([410])
    answer = loaded.scores[0]
    tensors = {name: torch.tensor(array).double() for name, array in files.weights.items()}
    before = {}

    def through_float16(name, layer, tensor):
        if name == "mlp_pre":
            before["x"] = tensor.half().double()
        if name == "mlp_post":
            return torch.nn.functional.gelu(before["x"], approximate="tanh").half().to(tensor)
        return tensor

    tokens = torch.tensor([[410]])
    plain = model.logits(tensors, files.config, tokens)[0, 0].numpy()
    halved = model.logits(tensors, files.config, tokens, tap=through_float16)[0, 0].numpy()
    assert np.abs(answer - plain).max() > 50 * np.abs(answer - halved).max()


@pytest.mark.parametrize(("dtype", "code"), [("float32", 1), ("float16", 0)])
def test_the_honest_verdict(capfd, dtype, code):
    given = ["oracle.adapters.llama_cpp:subject", "--only", "model/logits", "--sizes", "toy"]
    more = ["--dtype", dtype, "--seed", "0", "--examples", "12", "--seconds", "120"]
    more += ["--no-diagnosis"]
    assert main(["judge", *given, *more]) == code, capfd.readouterr().out


@pytest.fixture
def server(path):
    """llama-cpp-python's own server, on a port of its own."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    words = [sys.executable, "-m", "llama_cpp.server", "--model", str(path), "--port", str(port)]
    words += ["--model_alias", "gpt2", "--n_ctx", "256", "--logits_all", "true"]
    words += ["--type_k", "0", "--type_v", "0", "--n_threads", "1"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}/v1"
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{url}/models").close()
                break
            except OSError:
                time.sleep(0.5)
        yield url
        process.terminate()


def test_its_server(capfd, server):
    """What docs/engines.md says of it."""
    given = ["--openai", server, "--model", "gpt2", "--checkpoint", CHECKPOINT, "--seed", "0"]
    more = ["--examples", "6", "--dtype", "float16", "--seconds", "60"]
    assert main(["judge", *given, *more]) == 1
    said = capfd.readouterr().out
    right = {line.split()[0] for line in said.splitlines() if " right " in line}
    assert {"server/usage", "server/logprobs", "server/stop", "server/stream"} <= right
    assert "it is what the token has after itself" in said
    assert "server/draws" not in right
    assert "not offered: n" in said
    filters = '{"top_k": 0, "min_p": 0, "repeat_penalty": 1.0}'
    only = ["--only", "server/draws", "server/greedy", "--request", filters]
    assert main(["judge", *given, *more, *only]) in (0, 3)
