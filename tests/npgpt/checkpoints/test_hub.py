"""Fetching from a server that plays the Hugging Face hub, and all that can go wrong."""

import contextlib
import dataclasses
import errno
import io
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import npgpt
from npgpt._cli.program import main
from npgpt.checkpoints._files import digest
from npgpt.checkpoints._hub.fetch import fetch
from npgpt.checkpoints._safetensors import write_safetensors
from npgpt.checkpoints._saving import save
from npgpt.errors import CheckpointError, SettingError
from npgpt.tokenizer._training import train
from tests.helpers.checkpoint_making import TINY, random_arrays, random_parameters
from tests.helpers.command_line import interruptible, process, run
from tests.helpers.fake_hub import COMMIT, NAME, Hub, git_sha1, playing, sha256
from tests.helpers.patience import NEVER

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")

CONFIG = dataclasses.replace(TINY, vocab_size=260)
NEEDED = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"]
MISSING = "no such file or folder, and no model of that name in the cache"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save(folder, CONFIG, random_parameters(CONFIG), train(["to be"], vocab_size=260))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def played(files, tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    with playing(Hub(dict(files))) as server:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        for variable in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN"):
            monkeypatch.delenv(variable, raising=False)
        # What the library read from the environment when it was imported.
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        monkeypatch.setattr(
            constants, "AGENT_HARNESSES_PATH", str(tmp_path / "none"), raising=False
        )
        monkeypatch.setattr(time, "sleep", lambda _: None)  # between attempts
        yield server


def opens_whole():
    parameters = npgpt.load(NAME).parameters
    expected = random_arrays(CONFIG)
    assert np.array_equal(parameters.wte.weight, expected["wte.weight"])
    assert np.array_equal(parameters.ln_f.bias, expected["ln_f.bias"])
    return True


def test_what_is_fetched_is_found_by_its_name(played, tmp_path):
    fetched = fetch(NAME)
    assert fetched.commit == COMMIT
    assert sorted(path.name for path in fetched.files) == NEEDED
    assert (tmp_path / "home" / "hub") in fetched.folder.parents
    assert opens_whole()
    assert played.fetched()[-1] == "config.json"
    played.requests.clear()
    assert fetch(NAME) == fetched
    assert not played.fetched()


def test_only_what_is_needed(played, files):
    played.files |= {
        "README.md": b"#",
        "pytorch_model.bin": b"x",
        "tf_model.h5": b"x",
        "vocab.json": b"{}",
        "merges.txt": b"",
        "tokenizer_config.json": b"{}",
        "onnx/config.json": b"{}",
    }
    fetched = fetch(NAME)
    assert sorted(path.name for path in fetched.files) == [*NEEDED, "tokenizer_config.json"]
    assert opens_whole()


def test_a_pair_of_tokenizer_files(played):
    del played.files["tokenizer.json"], played.files["generation_config.json"]
    played.files["encoder.json"] = b"{}"  # of another pair
    fetched = fetch(NAME)
    names = ["config.json", "merges.txt", "model.safetensors", "vocab.json"]
    assert sorted(path.name for path in fetched.files) == names
    assert opens_whole()


def shard(played, tmp_path):
    arrays = {f"transformer.{name}": array for name, array in random_arrays(CONFIG).items()}
    del played.files["model.safetensors"]
    places = {}
    for number, name in enumerate(arrays):
        places[name] = f"part-{number % 2}.safetensors"
    for part in sorted(set(places.values())):
        held = {name: array for name, array in arrays.items() if places[name] == part}
        write_safetensors(tmp_path / part, held)
        played.files[part] = (tmp_path / part).read_bytes()
    return places


def test_shards(played, tmp_path):
    places = shard(played, tmp_path)
    played.files["model.safetensors.index.json"] = json.dumps({"weight_map": places}).encode()
    played.files["part-2.safetensors"] = b"of another model"
    fetched = {path.name for path in fetch(NAME).files}
    assert {"part-0.safetensors", "part-1.safetensors", "model.safetensors.index.json"} < fetched
    assert "part-2.safetensors" not in fetched
    assert opens_whole()


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"a": "part-7.safetensors"}, "names 'part-7.safetensors', which the hub does not have"),
        ({"a": "../../config.json"}, "names '../../config.json', which"),
        ({"a": 1}, "weight_map is a dict; expected"),
        (None, "weight_map is None"),
    ],
)
def test_an_index_that_cannot_be(played, tmp_path, places, message):
    shard(played, tmp_path)
    played.files["model.safetensors.index.json"] = json.dumps({"weight_map": places}).encode()
    with pytest.raises(CheckpointError, match=message):
        fetch(NAME)
    with pytest.raises(CheckpointError, match=MISSING):
        npgpt.load(NAME)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("fault", ["moved", "broken", "no ranges", "wrong hash once"])
def test_faults_that_are_overcome(played, fault, name, monkeypatch):
    # The library keeps what arrived in whole chunks; by default they are of 10 MB.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 7)
    played.faults[name] = fault
    fetched = fetch(NAME)
    assert opens_whole()
    for path in fetched.files:
        assert path.read_bytes() == played.files[path.name]
    if fault == "broken":
        half = len(played.files[name]) // 2
        assert f"resumed {name} at {half - half % 7}" in played.requests


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            "wrong hash",
            r"its SHA-256 is [0-9a-f]+, but the hub says '[0-9a-f]+'; it came",
        ),
        ("too short", "could not be fetched|bytes arrived, but the hub says"),
        ("too long", "could not be fetched|bytes arrived, but the hub says"),
        (
            "always broken",
            "could not be fetched .*; check the connection, and run the command again",
        ),
        ("HTTP 404 EntryNotFound", r"does not have it \(HTTP 404\)"),
        ("HTTP 401", "the hub"),
        ("HTTP 403", r"the hub refused it \(HTTP 403\); check the name"),
        ("HTTP 403 GatedRepo", "only who accepted its terms; accept them on the model's page"),
        ("HTTP 429", r"failed \(HTTP 429\); wait a while"),
        ("HTTP 500", r"failed \(HTTP 500\); wait a while"),
        ("HTTP 503", r"failed \(HTTP 503\); wait a while"),
    ],
)
def test_faults_that_remain(played, fault, message):
    name = "config.json" if fault == "too long" else "model.safetensors"
    played.faults[name] = fault
    with pytest.raises(CheckpointError, match=message) as caught:
        fetch(NAME)
    assert NAME in str(caught.value)
    assert name in str(caught.value)
    with pytest.raises(CheckpointError, match=MISSING):
        npgpt.load(NAME)
    folder = Path(os.environ["HF_HOME"]) / "hub" / f"models--{NAME.replace('/', '--')}"
    assert not list(folder.glob("refs/*"))
    assert not os.path.lexists(folder / "snapshots" / COMMIT / name)
    played.faults.clear()
    fetch(NAME)
    assert opens_whole()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("HTTP 401", r"refused it \(HTTP 401\); check the name, which may be that of no model"),
        ("HTTP 401 RepoNotFound", "has no such model, or it is private"),
        ("HTTP 404 RepoNotFound", "has no such model, or it is private; check the name"),
        ("HTTP 403 GatedRepo", "only who accepted its terms"),
        ("HTTP 500", r"failed \(HTTP 500\)"),
        ("HTTP 302", "could not be fetched|failed"),
    ],
)
def test_a_hub_that_says_nothing(played, fault, message):
    played.faults[""] = fault
    with pytest.raises(CheckpointError, match=message):
        fetch(NAME)


def test_no_hub_at_all(played, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match=r"could not be fetched .*check the connection"):
        fetch(NAME)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"config": {"model_type": "llama"}}, "its model_type is 'llama'; npgpt runs gpt2"),
        ({"sha": "../../x"}, "names '../../x' as the commit"),
        ({"sha": None}, "names None as the commit"),
        ({"siblings": []}, "the hub has no config.json of it"),
        ({"siblings": [{"rfilename": "config.json", "size": 1}]}, "has no model.safetensors or"),
        ({"siblings": None}, "the hub has no config.json"),
        ({"siblings": [7]}, "could not be fetched"),
    ],
)
def test_facts_that_cannot_be(played, facts, message):
    played.facts = facts
    with pytest.raises(CheckpointError, match=message):
        fetch(NAME)


def test_facts_without_hashes_are_not_enough(played, files):
    played.facts["siblings"] = [{"rfilename": n, "size": len(d)} for n, d in files.items()]
    with pytest.raises(CheckpointError, match="the hub says no hash to compare it with"):
        fetch(NAME)
    with pytest.raises(CheckpointError, match=MISSING):
        npgpt.load(NAME)


def test_what_was_damaged_in_the_cache_is_fetched_again(played):
    folder = fetch(NAME).folder
    weights = Path(os.path.realpath(folder / "model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-4] + b"\1\2\3\4")
    played.requests.clear()
    fetch(NAME)
    assert played.fetched() == ["model.safetensors"]
    assert opens_whole()


def test_the_old_stays_until_the_new_is_whole(played):
    old = fetch(NAME)
    played.commit = "f" * 40
    played.files["config.json"] += b"\n"
    played.faults["config.json"] = "wrong hash"
    with pytest.raises(CheckpointError, match="its git hash is"):
        fetch(NAME)
    assert opens_whole()
    played.faults.clear()
    new = fetch(NAME)
    assert new.commit == "f" * 40
    assert opens_whole()
    assert fetch(NAME, revision="f" * 40) == new != old


def test_a_pinned_revision(played):
    fetched = fetch(NAME, revision=COMMIT)
    assert npgpt.load(fetched.folder).config == CONFIG
    with pytest.raises(CheckpointError, match=MISSING):  # it is not what main means
        npgpt.load(NAME)
    with pytest.raises(CheckpointError, match="has the model but no such revision"):
        fetch(NAME, revision="v9")


def test_offline(played, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE is set; unset it"):
        fetch(NAME)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    fetched = fetch(NAME)
    played.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "true")
    assert fetch(NAME).folder == fetched.folder
    assert not played.requests


def test_without_the_library(played, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SettingError, match=r"run `pip install huggingface_hub`"):
        fetch(NAME)


def test_without_a_home_folder(played, monkeypatch):
    monkeypatch.delenv("HF_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(CheckpointError, match="no home folder to keep models in; set HF_HOME"):
        fetch(NAME)


def test_a_full_disk(played, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("huggingface_hub.hf_hub_download", full)
        with pytest.raises(CheckpointError, match=r"cannot be .* \(No space left on device\)"):
            fetch(NAME)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(CheckpointError, match=r"main: cannot be written \(No space left"):
            fetch(NAME)
    with pytest.raises(CheckpointError, match=MISSING):
        npgpt.load(NAME)


def test_the_command(played):
    ran = run("fetch", NAME)
    folder = Path(os.environ["HF_HOME"], "hub", "models--someone--tiny", "snapshots", COMMIT)
    assert ran == (0, f"{folder}\n", "")
    assert run("inspect", "--model", NAME).code == 0
    ran = run("fetch", NAME, "--revision", COMMIT, "--json")
    facts = json.loads(ran.out)
    assert (ran.code, ran.err, facts.pop("folder")) == (0, "", str(folder))
    assert {file["name"]: file["sha256"] for file in facts.pop("files")} == {
        name: sha256(played.files[name]) for name in NEEDED
    }
    assert facts.pop("schema") == "npgpt.fetch/1"
    assert facts == {"model": NAME, "revision": COMMIT, "commit": COMMIT}
    ran = run("fetch", "../x")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("npgpt: '../x' is no name of a model on the hub")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_progress_bar_is_for_terminals(played):
    shown = []
    for argv in (["fetch", NAME], ["fetch", NAME, "--json"]):
        with contextlib.redirect_stderr(Terminal()) as said:
            assert main(argv) == 0
        shown.append("model.safetensors" in said.getvalue())
        shutil.rmtree(os.environ["HF_HOME"])
    assert shown == [True, False]


def test_ctrl_c_in_the_middle_and_two_at_once(played):
    played.faults["model.safetensors"] = "stopped"
    fetching = process(["fetch", NAME], preexec_fn=interruptible)
    assert played.half_sent.wait(NEVER)
    fetching.send_signal(signal.SIGINT)
    _, said = fetching.communicate(timeout=NEVER)
    assert (fetching.returncode, said) == (130, b"")
    with pytest.raises(CheckpointError, match=MISSING):
        npgpt.load(NAME)
    played.go_on.set()
    played.faults.clear()
    at_once = [process(["fetch", NAME]) for _ in range(2)]
    assert [each.communicate(timeout=NEVER)[1] for each in at_once] == [b"", b""]
    assert [each.returncode for each in at_once] == [0, 0]
    assert opens_whole()


def test_hashes(tmp_path):
    (tmp_path / "a").write_bytes(b"what\n")
    assert digest(tmp_path / "a") == sha256(b"what\n")
    # As `git hash-object` gives it.
    assert digest(tmp_path / "a", git=True) == git_sha1(b"what\n")
    with pytest.raises(CheckpointError, match="cannot be read"):
        digest(tmp_path / "b")
