"""Saving with everything going wrong: the old checkpoint or the new one, whole, or none opens."""

import contextlib
import dataclasses
import errno
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import npgpt
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._replace_all import replace_all
from npgpt.checkpoints._saving import save
from npgpt.errors import CheckpointError
from npgpt.model._parameters import from_arrays, to_arrays
from npgpt.tokenizer._training import train
from tests.helpers.checkpoint_making import TINY, random_arrays

# Two models of the same shapes, so that parts of one with parts of the other would open.
CONFIG = dataclasses.replace(TINY, vocab_size=260)
CONFIGS = {"old": CONFIG, "new": dataclasses.replace(CONFIG, layer_norm_epsilon=1e-3)}
TOKENIZERS = {
    "old": train(["to be"] * 9, vocab_size=260),
    "new": train(["or not"] * 9, vocab_size=260),
}
FACTORS = {"old": 1, "new": 2}
ARRAYS = random_arrays(CONFIG)


def write(which, folder):
    arrays = {name: FACTORS[which] * array for name, array in ARRAYS.items()}
    parameters = from_arrays(arrays, CONFIGS[which])
    save(folder, CONFIGS[which], parameters, TOKENIZERS[which])


def what_opens(folder):
    try:
        found = load_checkpoint(folder)
    except CheckpointError:
        return "nothing"
    weights = to_arrays(found.parameters)
    factors = {
        float(factor)
        for name, array in ARRAYS.items()
        for factor in np.unique(weights[name] / array)
    }
    assert len(factors) == 1
    (which,) = (which for which, factor in FACTORS.items() if {factor} == factors)
    assert found.config == CONFIGS[which]
    assert found.tokenizer == TOKENIZERS[which]
    return which


def what_opens_after_the_next_call(folder):
    """What a save that fails at once finds and leaves."""
    with contextlib.suppress(ZeroDivisionError), replace_all(folder, key="config.json"):
        raise ZeroDivisionError
    assert not list(folder.glob(".saving-*"))
    return what_opens(folder)


@contextlib.contextmanager
def before_each_step(patch, step):
    """Call `step` before each call that changes what the disk holds, and within each write."""
    within = []

    def stepping():
        if not within:
            within.append(True)
            try:
                step()
            finally:
                within.clear()

    def wrapped(call):
        def calling(*arguments, **keywords):
            stepping()
            return call(*arguments, **keywords)

        return calling

    opened = Path.open

    def opening(path, mode="r", *arguments, **keywords):
        file = opened(path, mode, *arguments, **keywords)
        return _Written(file, stepping) if mode[0] in "wx" else file

    with patch.context() as inner:
        for name in ("replace", "mkdir", "unlink"):
            inner.setattr(os, name, wrapped(getattr(os, name)))
        inner.setattr(os, "fsync", lambda _: stepping())  # nothing here shows what it does
        inner.setattr(Path, "open", opening)
        yield


class _Written:
    def __init__(self, file, step):
        self.file, self.step = file, step

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, data):
        data = data if isinstance(data, str) else bytes(data)
        self.file.write(data[:5])
        self.step()
        return self.file.write(data[5:])


def test_at_every_step_the_old_or_the_new_opens_or_nothing(tmp_path, monkeypatch):
    # What a reader finds meanwhile, and what is left if the process is killed there.
    folder = tmp_path / "model"
    write("old", folder)
    copies = []

    def copy():
        copies.append(tmp_path / f"copy {len(copies)}")
        shutil.copytree(folder, copies[-1])

    with before_each_step(monkeypatch, copy):
        write("new", folder)
    found = [what_opens(each) for each in copies]
    assert [which for which, _ in itertools.groupby(found)] == ["old", "nothing", "new"]
    after = [what_opens_after_the_next_call(each) for each in copies]
    assert [which for which, _ in itertools.groupby(after)] == ["old", "new"]
    for each in copies[:: len(copies) // 10]:
        write("new", each)
        assert what_opens(each) == "new"
        assert not list(each.glob(".saving-*"))


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_a_full_disk_at_every_step(tmp_path, monkeypatch, lasting):
    write("old", tmp_path / "old")
    for count in itertools.count():
        folder = tmp_path / str(count)
        shutil.copytree(tmp_path / "old", folder)
        steps = itertools.count()

        def fail(count=count, steps=steps):
            step = next(steps)
            if step == count or (lasting and step > count):
                raise OSError(errno.ENOSPC, "No space left on device")

        with before_each_step(monkeypatch, fail):
            said = None
            try:
                write("new", folder)
            except CheckpointError as error:
                said = str(error)
        found = what_opens(folder)
        if next(steps) <= count:  # all of its steps went well
            assert (found, said) == ("new", None)
            break
        assert found in (("old", "nothing", "new") if lasting else ("old", "new"))
        # Once the new one is there, only tidying up can still fail.
        assert found == "new" if said is None else "written (No space left on device)" in said
        if list(folder.glob(".saving-*")):
            expected = "old" if found == "nothing" else found
            assert what_opens_after_the_next_call(folder) == expected
    assert count > 30


# It may come just before a file is closed, which Python then does, with a warning.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_at_every_line(tmp_path):
    write("old", tmp_path / "old")
    seen = set()
    for count in itertools.count():
        folder = tmp_path / str(count)
        shutil.copytree(tmp_path / "old", folder)
        lines = itertools.count()

        def trace(frame, event, _, lines=lines, count=count):
            if frame.f_code.co_filename != replace_all.__wrapped__.__code__.co_filename:
                return None
            if event == "line" and next(lines) == count:
                raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        try:
            sys.settrace(trace)
            write("new", folder)
        except KeyboardInterrupt:
            seen.add(found := what_opens(folder))
            if list(folder.glob(".saving-*")):
                assert what_opens_after_the_next_call(folder) == found
        else:
            break
        finally:
            sys.settrace(before)
    assert seen == {"old", "new"}


def test_one_file_that_differs_is_one_step(tmp_path, monkeypatch):
    write("old", tmp_path / "model")
    found = set()

    def look():
        opened = load_checkpoint(tmp_path / "model")
        (factor,) = np.unique(opened.parameters.wte.weight / ARRAYS["wte.weight"])
        found.add(float(factor))

    doubled = {name: 2 * array for name, array in ARRAYS.items()}
    with before_each_step(monkeypatch, look):
        save(tmp_path / "model", CONFIG, from_arrays(doubled, CONFIG), TOKENIZERS["old"])
    assert found == {1.0, 2.0}


def test_two_processes_save_at_once(tmp_path):
    for which in ("old", "new"):
        write(which, tmp_path / which)
    program = """
import sys
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._saving import save
found = load_checkpoint(sys.argv[1])
for _ in range(8):
    save(sys.argv[2], found.config, found.parameters, found.tokenizer)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(npgpt.__file__).parents[1])}
    savers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, tmp_path / which, tmp_path / "model"],
            env=environment,
        )
        for which in ("old", "new")
    ]
    while None in [saver.poll() for saver in savers]:
        what_opens(tmp_path / "model")
    assert [saver.returncode for saver in savers] == [0, 0]
    assert what_opens(tmp_path / "model") in ("old", "new")
    assert not list((tmp_path / "model").glob(".*"))


def test_tokens_added_by_another_tokenizer_go(tmp_path):
    write("old", tmp_path)
    (tmp_path / "added_tokens.json").write_text('{"<x>": 259}')
    write("new", tmp_path)
    assert not (tmp_path / "added_tokens.json").exists()
    assert what_opens(tmp_path) == "new"


@pytest.mark.parametrize("name", ["../stolen", "/stolen", ".."])
def test_a_folder_that_pretends_to_be_left_over(tmp_path, name):
    folder, pretended = tmp_path / "model", tmp_path / "model" / ".saving-x"
    write("old", folder)
    for part in ("new", "old"):
        (pretended / part).mkdir(parents=True)
        (pretended / part / "config.json").write_text("{}")
    (pretended / "names.json").write_text(json.dumps({name: True}))
    (tmp_path / "stolen").write_text("mine")
    write("new", folder)
    assert what_opens(folder) == "new"
    assert (tmp_path / "stolen").read_text() == "mine"


def test_files_may_not_grow_so_large(tmp_path):
    resource = pytest.importorskip("resource")
    write("old", tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"model.safetensors: cannot be written \(File"):
            write("new", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert what_opens(tmp_path) == "old"
    assert not list(tmp_path.glob(".*"))


def test_a_read_only_folder(tmp_path):
    write("old", tmp_path)
    tmp_path.chmod(0o555)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write to read-only folders")
        with pytest.raises(CheckpointError, match=r"cannot be written \(Permission denied\)"):
            write("new", tmp_path)
        assert what_opens(tmp_path) == "old"
    finally:
        tmp_path.chmod(0o755)


def test_a_read_only_disk(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    write("old", tmp_path)
    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(CheckpointError, match=r"cannot be written \(Read-only file system\)"):
        write("new", tmp_path)
    assert what_opens(tmp_path) == "old"


def test_a_folder_in_the_place_of_a_file_is_kept(tmp_path):
    (tmp_path / "config.json" / "mine").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="cannot be written"):
        write("new", tmp_path)
    assert (tmp_path / "config.json" / "mine").is_dir()
