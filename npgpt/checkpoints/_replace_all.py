"""Atomic replacement of several files of a folder, as if they were one."""

import errno
import filecmp
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from npgpt.checkpoints._files import (
    JSON_LIMIT,
    is_plain_name,
    parse_json_object,
    read_bytes,
    replacing,
    sync_folder,
)
from npgpt.errors import CheckpointError

if sys.platform != "win32":
    import fcntl

_PREFIX = ".saving-"
_NEW, _OLD = "new", "old"  # folders for what is to come and for what has gone
_NAMES = "names.json"  # what is being exchanged: whether there is a new one, by the file's name


@contextmanager
def replace_all(home: Path, *, key: str, stale: Collection[str] = ()) -> Iterator[Path]:
    """A folder for new files, which take the place of those in `home` when the block ends well.

    `key` is one of them, and without it the folder does not open. Files named in `stale` go, unless
    there are new ones. If one file differs, that is one step: at any moment there is the old one or
    the new one. Else the key is taken away first and put back last, so that what is between does
    not open, and an error or a Ctrl-C puts the old files back. If the process is killed between, or
    the power fails, they are in `.saving-*/old`, and the next call puts them back before it starts.

    Raises OSError where files cannot be written. Calls for one folder wait for one another, where
    the system has locks for folders; where it has none, old files are left where a kill left them.
    """
    with _alone(home) as alone:
        if alone:
            for left_over in home.glob(f"{_PREFIX}*"):
                with suppress(CheckpointError):  # then it is none of ours
                    _finish(left_over, home, key)
        scratch = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))
        try:
            (scratch / _NEW).mkdir()
            yield scratch / _NEW
            _exchange(scratch, home, key, stale)
        finally:
            _finish(scratch, home, key)


def _exchange(scratch: Path, home: Path, key: str, stale: Collection[str]) -> None:
    new, old = scratch / _NEW, scratch / _OLD
    names = {file.name for file in new.iterdir()}
    for name in names:
        with (new / name).open("r+b") as written:
            os.fsync(written.fileno())
    sync_folder(new)
    changed = sorted(n for n in names.union(stale) if not _same(new / n, home / n))
    for name in changed:
        if (home / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, f"{name} is a folder")
    if len(changed) == 1 and changed[0] in names:
        os.replace(new / changed[0], home / changed[0])
    elif changed:
        others = [name for name in changed if name != key]
        with replacing(scratch / _NAMES) as file:
            file.write(json.dumps({name: name in names for name in others}).encode())
        old.mkdir()
        _move(key, home, old)
        sync_folder(home)
        for name in others:
            _move(name, home, old)
            _move(name, new, home)
        sync_folder(home)
        _move(key, new, home)
    sync_folder(home)


def _finish(scratch: Path, home: Path, key: str) -> None:
    """Put the old files back, unless all of the new ones are there; then remove the rest.

    What is to do is seen from where the files are, so that this too may be interrupted anywhere.
    """
    new, old = scratch / _NEW, scratch / _OLD
    try:
        if old.is_dir() and (new / key).exists():
            for name, has_new in _exchanged(scratch).items():
                if has_new and not (new / name).exists():
                    _move(name, home, new)
                _move(name, old, home)
            _move(key, old, home)
            sync_folder(home)
    finally:
        if not any(old.glob("*")) or not (new / key).exists():
            shutil.rmtree(scratch, ignore_errors=True)


def _exchanged(scratch: Path) -> dict[str, bool]:
    names = scratch / _NAMES
    has_new = parse_json_object(read_bytes(names, JSON_LIMIT), str(names))
    if scratch.is_symlink() or not all(map(is_plain_name, has_new)):
        raise CheckpointError(f"{names}: npgpt did not write this; remove {scratch}")
    return has_new


def _move(name: str, source: Path, target: Path) -> None:
    if os.path.lexists(source / name):
        os.replace(source / name, target / name)


def _same(one: Path, other: Path) -> bool:
    if not (one.is_file() and other.is_file()):
        return not os.path.lexists(one) and not os.path.lexists(other)
    return filecmp.cmp(one, other, shallow=False)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Wait until no other call holds the folder, then hold it; False where that cannot be done."""
    if sys.platform == "win32":
        yield False
        return
    held = _Open(folder)
    try:
        try:
            fcntl.flock(held.number, fcntl.LOCK_EX)
        except OSError:  # file systems over a network may have no locks
            yield False
        else:
            yield True
    finally:
        held.close()


class _Open:
    """An open folder; also closed, and its lock given up, where a Ctrl-C comes before `close`."""

    number = -1

    def __init__(self, folder: Path) -> None:
        self.number = os.open(folder, os.O_RDONLY)

    def close(self) -> None:
        if self.number >= 0:
            fcntl.flock(self.number, fcntl.LOCK_UN)
            number, self.number = self.number, -1
            os.close(number)

    def __del__(self) -> None:
        self.close()
