"""Models found in the cache of the Hugging Face hub, by names, without its library."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import npgpt
from npgpt.checkpoints._hub.cache import cache_folder, check_hub_name, check_revision
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._saving import save
from npgpt.errors import CheckpointError, SettingError
from tests.helpers.checkpoint_making import TINY, random_parameters

COMMIT = "0123456789abcdef0123456789abcdef01234567"
VARIABLES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def put(cache, name, *, links="blobs"):
    """A model as the hub's library lays it out: without links, with, and with shared blobs."""
    home = cache / f"models--{name.replace('/', '--')}"
    snapshot = home / "snapshots" / COMMIT
    save(snapshot, TINY, random_parameters(TINY))
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)
    (home / "blobs").mkdir()
    for number, file in enumerate(list(snapshot.iterdir()) if links else []):
        blob = home / "blobs" / f"{number}"
        file.rename(blob)
        file.symlink_to(Path("..", "..", "blobs", blob.name))
        if links == "shared":
            shared = cache / "blobs" / "0a" / f"{number}"
            shared.parent.mkdir(parents=True, exist_ok=True)
            blob.rename(shared)
            blob.symlink_to(Path("..", "..", "blobs", "0a", shared.name))
    return snapshot


@pytest.mark.parametrize("links", ["", "blobs", "shared"])
@pytest.mark.parametrize("name", ["gpt2", "openai-community/gpt2.x_1"])
def test_a_name_is_found_in_the_cache(cache, name, links):
    put(cache, name, links=links)
    assert npgpt.load(name).config == TINY
    assert npgpt.load(Path(name)).config == TINY


def test_a_folder_of_that_name_comes_first(cache, tmp_path):
    put(cache, "gpt2")
    (tmp_path / "gpt2").mkdir()
    with pytest.raises(CheckpointError, match="no weights here"):
        load_checkpoint("gpt2")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda home: (home / "refs" / "main").unlink(),
        lambda home: (home / "refs" / "main").write_text("../../elsewhere"),
        lambda home: (home / "refs" / "main").write_text("f" * 40),
        lambda home: (home / "refs" / "main").write_bytes(b"\xff" * 4000),
        lambda home: (home / "snapshots" / COMMIT / "model.safetensors").unlink(),
        lambda home: (home / "snapshots").rename(home / "other"),
    ],
    ids=["no ref", "a path", "no snapshot", "no text", "no weights", "no snapshots"],
)
def test_what_is_not_there_whole_is_fetched_by_a_command(cache, spoil):
    put(cache, "someone/tiny")
    spoil(cache / "models--someone--tiny")
    with pytest.raises(CheckpointError) as caught:
        npgpt.load("someone/tiny")
    assert "'someone/tiny': no such file or folder, and no model of that name" in str(caught.value)
    assert str(cache) in str(caught.value)
    assert "run `npgpt fetch someone/tiny`" in str(caught.value)


@pytest.mark.parametrize("name", ["../gpt2", "a/b/c", "a--b", "-a", "a.git", "a b", "é", "x" * 97])
def test_other_names_mean_paths(cache, name):
    with pytest.raises(CheckpointError, match="no such file or folder; give a folder"):
        npgpt.load(name)
    with pytest.raises(SettingError, match="is no name of a model on the hub"):
        check_hub_name(name)


@pytest.mark.parametrize("revision", ["", "../x", "/x", "a//b", "-x", "a b", "x" * 256])
def test_revisions_that_cannot_be(revision):
    with pytest.raises(SettingError, match="is no revision"):
        check_revision(revision)


def test_links_that_leave_the_cache_are_refused(cache, tmp_path):
    snapshot = put(cache, "gpt2")
    (tmp_path / "blobs" / "0a").mkdir(parents=True)
    secret = tmp_path / "blobs" / "0a" / "config.json"
    (snapshot / "config.json").rename(secret)
    (snapshot / "config.json").symlink_to(secret)
    with pytest.raises(CheckpointError, match="this symbolic link leaves its folder"):
        npgpt.load("gpt2")


def test_the_cache_folder(cache, monkeypatch, tmp_path):
    assert cache_folder() == cache
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "huggingface" / "hub"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "huggingface" / "hub"
    monkeypatch.setenv("HF_HOME", "~/hf")
    assert cache_folder() == tmp_path / "hf" / "hub"
    monkeypatch.setenv("HUGGINGFACE_HUB_CACHE", "$HOME/old")
    assert cache_folder() == tmp_path / "old"


def test_without_a_home_folder(cache, monkeypatch):
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cache_folder() is None
    with pytest.raises(CheckpointError, match=r"\(there is no home folder\); to fetch it"):
        npgpt.load("gpt2")
    assert npgpt.load().config.n_layer  # the model that ships needs none


def test_the_hubs_library_is_not_imported(cache):
    put(cache, "gpt2")
    program = """
import sys
sys.modules["huggingface_hub"] = None
import npgpt, npgpt._cli.program
npgpt.load("gpt2")
"""
    home = str(Path(npgpt.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=os.environ | {"PYTHONPATH": home}
    )
    assert done.returncode == 0
