import errno
import os
import stat

import pytest

from npgpt.checkpoints._files import find, map_file, read_bytes, replacing
from npgpt.errors import CheckpointError


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../secret", "a/b", "/etc/hosts", "a\\b", "C:a", "a\0b", "./a"]
)
def test_names_that_are_paths(tmp_path, name):
    with pytest.raises(CheckpointError, match="not the name of a file in this folder"):
        find(tmp_path, name)


def test_what_is_there_and_what_is_not(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"a")
    assert find(tmp_path, "a.bin") == tmp_path / "a.bin"
    assert find(tmp_path, "b.bin") is None


def test_links_stay_inside(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "real").write_bytes(b"inside")
    (tmp_path / "secret").write_bytes(b"outside")
    (folder / "good").symlink_to("real")
    (folder / "bad").symlink_to("../secret")
    (folder / "far").symlink_to(tmp_path / "secret")
    (folder / "twice").symlink_to("bad")
    (folder / "round").symlink_to("round")
    (folder / "dangling").symlink_to("nowhere")
    assert find(folder, "good") == folder / "good"
    for name in ("bad", "far", "twice"):
        with pytest.raises(CheckpointError, match="link leaves its folder"):
            find(folder, name)
    for name in ("round", "dangling"):
        with pytest.raises(CheckpointError, match="not a regular file"):
            find(folder, name)


def test_a_link_to_the_folder_itself_is_followed(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a").write_bytes(b"a")
    (tmp_path / "alias").symlink_to("model")
    assert find(tmp_path / "alias", "a") == tmp_path / "alias" / "a"


def test_the_layout_of_the_hubs_cache(tmp_path):
    snapshot = tmp_path / "models--gpt2" / "snapshots" / "607a30d"
    blobs = tmp_path / "models--gpt2" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "0123").write_bytes(b"blob")
    (tmp_path / "models--gpt2" / "secret").write_bytes(b"outside")
    (snapshot / "model.safetensors").symlink_to("../../blobs/0123")
    (snapshot / "bad").symlink_to("../../secret")
    assert find(snapshot, "model.safetensors") == snapshot / "model.safetensors"
    with pytest.raises(CheckpointError, match="link leaves its folder"):
        find(snapshot, "bad")


def test_only_regular_files(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    with pytest.raises(CheckpointError, match="not a regular file"):
        find(tmp_path, "folder")
    for name, said in (("folder", "not a regular"), ("nothing", "no such"), ("empty", "is empty")):
        with pytest.raises(CheckpointError, match=f"{name}: .*{said}"):
            map_file(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders on this system")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for look in (lambda: find(tmp_path, "pipe"), lambda: map_file(tmp_path / "pipe")):
        with pytest.raises(CheckpointError, match="not a regular file"):
            look()


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"a")

    def denied(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", denied)
    with pytest.raises(CheckpointError, match=r"a: cannot be read \(Permission denied\)"):
        map_file(tmp_path / "a")


def test_read_bytes_stops_at_its_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"1234")
    assert read_bytes(tmp_path / "a", 4) == b"1234"
    with pytest.raises(CheckpointError, match=r"4 bytes long; .* at most 3"):
        read_bytes(tmp_path / "a", 3)


def test_replacing(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, CheckpointError("bad"), RuntimeError])
def test_the_old_file_outlives_an_interruption(tmp_path, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    caught = pytest.raises((KeyboardInterrupt, CheckpointError, RuntimeError))
    with caught, replacing(path) as file:
        file.write(b"half of the n")
        raise error
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_outlives_a_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    caught = pytest.raises(CheckpointError, match=r"a: cannot be written \(No space left")
    with caught, replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_gets_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    with replacing(tmp_path / "ours"):
        pass
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "ours")]
    assert modes[0] == modes[1]


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be written"), replacing(tmp_path / "b" / "a"):
        pass
