"""Hashes of files, apart from `files` because opening a model needs none."""

import hashlib
import os
from pathlib import Path

from npgpt.errors import CheckpointError

_CHUNK = 2**20  # bytes hashed at a time


def digest(path: Path, *, git: bool = False) -> str:
    """The file's SHA-256, or the SHA-1 by which git names its contents."""
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
