"""Files of a checkpoint: found inside its folder only, mapped, hashed, replaced in one step.

JSON is read by `npgpt._strict_json`, within a limit, and what it refuses is a CheckpointError.
"""

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from npgpt import _strict_json as strict_json
from npgpt._quoting import quoted
from npgpt.errors import CheckpointError
from npgpt.model._paging import MappedFile

# Characters that would make a name a path, on any system.
_SEPARATORS = frozenset("/\\:\0")


def is_plain_name(name: str) -> bool:
    """Whether `name` names a file in a folder, and nothing above, below or beside the folder.

    >>> [is_plain_name(n) for n in ("a.bin", "../a.bin", "/a.bin", "C:a.bin", "..", "")]
    [True, False, False, False, False, False]
    """
    return name not in ("", ".", "..") and _SEPARATORS.isdisjoint(name)


def stays_inside(folder: Path, name: str) -> bool:
    """Whether the file `name` of `folder` is there once symbolic links are followed.

    The cache of the Hugging Face hub is the one exception: its `snapshots/REVISION` folders hold
    links to files in the `blobs` folder beside them, which may be links to files in the folders
    `blobs/00` to `blobs/ff` of the cache, where models share them.
    """
    home = Path(os.path.realpath(folder))
    there = Path(os.path.realpath(home / name)).parent
    if there == home:
        return True
    model = home.parent.parent
    if home.parent.name != "snapshots":
        return False
    if there == model / "blobs":
        return True
    shared = model.parent / "blobs"
    return model.name.startswith("models--") and there in (shared / f"{n:02x}" for n in range(256))


def find(folder: Path, name: str) -> Path | None:
    """The regular file `name` in `folder`, or None where there is no such name.

    Raises CheckpointError for a name that is a path, a link that leaves the folder, and anything
    but a regular file (a pipe could block for ever).
    """
    if not is_plain_name(name):
        raise CheckpointError(
            f"{folder}: {quoted(name)} is not the name of a file in this folder; "
            "a checkpoint keeps all its files in one folder"
        )
    path = folder / name
    if not os.path.lexists(path):
        return None
    if not stays_inside(folder, name):
        raise CheckpointError(
            f"{path}: this symbolic link leaves its folder; copy the file itself here, "
            "or open the folder that it is in"
        )
    if not path.is_file():
        raise CheckpointError(f"{path}: not a regular file; a checkpoint is made of those only")
    return path


def map_file(path: Path) -> MappedFile:
    """The file's bytes, mapped read-only: nothing is read before it is looked at.

    Raises CheckpointError for a file that is missing, unreadable, empty or not a regular file.
    """
    try:
        if not path.exists():
            raise CheckpointError(f"{path}: no such file; check the path")
        if not path.is_file():
            raise CheckpointError(f"{path}: not a regular file; give a file or its folder")
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise CheckpointError(f"{path}: the file is empty; fetch it again")
            mapping = MappedFile(file.fileno(), 0, access=mmap.ACCESS_READ)
            mapping.path = path
            return mapping
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error


def read_bytes(path: Path, limit: int) -> bytes:
    """The whole of a small file. Raises CheckpointError where it is longer than `limit` bytes."""
    data = map_file(path)
    if len(data) > limit:
        raise CheckpointError(
            f"{path}: {len(data)} bytes long; a file of this name holds at most {limit}"
        )
    return data[:]


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` in one step, when the block ends without error.

    Whatever interrupts the block, and if the power fails, there is the whole old file or the whole
    new one. Raises CheckpointError where the disk is full, or the folder missing or read-only.
    """
    scratch = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    try:
        with scratch.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        scratch.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Have the disk keep the folder as it is now: what was renamed stays so if the power fails.

    Nothing happens where the system cannot do so for folders.
    """
    if os.name == "nt":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def identity(path: Path) -> tuple[int, ...] | None:
    """What tells a file from the one that replaces it, or None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def check_unchanged(path: Path, before: tuple[int, ...] | None) -> None:
    """Raise CheckpointError unless the file has the `identity` that it had.

    Whoever saves a checkpoint of several files replaces its config.json last, so what was read
    from beside an unchanged one belongs together.
    """
    if identity(path) != before:
        raise CheckpointError(f"{path}: somebody replaced it while it was read; open it again")


_CHUNK = 2**20  # bytes hashed at a time


def digest(path: Path, *, git: bool = False) -> str:
    """The file's SHA-256, or the SHA-1 by which git names its contents."""
    import hashlib  # here because opening a model needs none

    try:
        with path.open("rb") as file:
            if git:
                size = os.fstat(file.fileno()).st_size
                hashed = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
            else:
                hashed = hashlib.sha256()
            while chunk := file.read(_CHUNK):
                hashed.update(chunk)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    return hashed.hexdigest()


# What keeps a hostile file from taking much memory. A header of GPT-2 XL has 60,000 bytes.
JSON_LIMIT = 1_000_000


def parse_json(data: bytes, where: str) -> Any:
    """The value of a JSON text in UTF-8, of 1 MB at most; the error starts with `where`.

    >>> parse_json(b'{"a": [1, 2.5]}', "an example")
    {'a': [1, 2.5]}
    >>> parse_json(b'{"a": 1, "a": 2}', "an example")
    Traceback (most recent call last):
        ...
    npgpt.errors.CheckpointError: an example: the field 'a' is given twice
    """
    return strict_json.parse(data, where, limit=JSON_LIMIT, error=CheckpointError)


def parse_json_object(data: bytes, where: str) -> dict[str, Any]:
    """The fields of a JSON object; as `parse_json`, and anything but an object is an error.

    >>> parse_json_object(b"[]", "an example")
    Traceback (most recent call last):
        ...
    npgpt.errors.CheckpointError: an example: holds a list; expected a JSON object
    """
    return strict_json.parse_object(data, where, limit=JSON_LIMIT, error=CheckpointError)


def read_json_object(path: Path) -> dict[str, Any]:
    """The fields of the JSON object that a file of 1 MB at most holds."""
    return parse_json_object(read_bytes(path, JSON_LIMIT), str(path))
