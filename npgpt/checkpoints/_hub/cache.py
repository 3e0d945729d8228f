"""Cache of the Hugging Face hub: what it holds, found by its layout alone.

CACHE/models--OWNER--NAME/refs/REVISION names a commit, and snapshots/COMMIT holds its files, as
links to ../../blobs. Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

import os
import re
from collections.abc import Collection
from pathlib import Path

from npgpt._quoting import quoted
from npgpt.errors import CheckpointError, SettingError

MAIN_REVISION = "main"  # the revision that is meant where none is given
_LONGEST_COMMIT_FILE = 1000  # bytes; 40 are expected

_WORD = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?:{_WORD}/)?{_WORD}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,254}")
_COMMIT = re.compile("[0-9a-f]{40}")
_YES = ("1", "ON", "YES", "TRUE")


def is_hub_name(text: str) -> bool:
    """Whether `text` can be the name of a model on the hub.

    >>> [is_hub_name(n) for n in ("gpt2", "openai-community/gpt2")]
    [True, True]
    >>> [is_hub_name(n) for n in ("a/b/c", "../gpt2", "/gpt2", "a--b")]
    [False, False, False, False]
    """
    return (
        _NAME.fullmatch(text) is not None
        and "--" not in text
        and ".." not in text
        and not text.endswith(".git")
    )


def is_commit(text: object) -> bool:
    """Whether `text` is the whole hash of a commit."""
    return isinstance(text, str) and _COMMIT.fullmatch(text) is not None


def check_hub_name(name: str) -> None:
    """Raise SettingError unless `is_name(name)`."""
    if not is_hub_name(name):
        raise SettingError(
            f"{quoted(name)} is no name of a model on the hub; give one such as gpt2, or with its "
            "owner, such as distilbert/distilgpt2"
        )


def check_revision(revision: str) -> None:
    """Raise SettingError unless `revision` can be a branch, a tag or a commit."""
    if not _REVISION.fullmatch(revision) or ".." in revision or "//" in revision:
        raise SettingError(
            f"{quoted(revision)} is no revision; give a branch, a tag or the hash of a commit"
        )


def cache_folder() -> Path | None:
    """The hub's cache folder, or None where nothing names one and there is no home folder.

    HF_HUB_CACHE, or hub in HF_HOME, or huggingface/hub in XDG_CACHE_HOME or else in ~/.cache.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    home = os.environ.get("HF_HOME") or os.path.join(cache, "huggingface")
    hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    path = os.path.expandvars(os.path.expanduser(hub or os.path.join(home, "hub")))
    return None if path.startswith("~") else Path(path)


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids to use the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in _YES


def repository_folder(cache: Path, name: str) -> Path:
    """The folder of a model in the cache."""
    return cache / "--".join(["models", *name.split("/")])


def snapshot_folder(name: str, revision: str, holding: Collection[str]) -> Path | None:
    """The folder of a model's files in the cache, or None unless it has one of `holding`."""
    cache = cache_folder()
    if cache is None:
        return None
    home = repository_folder(cache, name)
    commit = revision if is_commit(revision) else _commit(home / "refs" / revision)
    if commit is None:
        return None
    snapshot = home / "snapshots" / commit
    return snapshot if any((snapshot / file).is_file() for file in holding) else None


def resolve_model(path: str | os.PathLike[str], holding: Collection[str]) -> Path:
    """`path`, or where nothing is there and it is a name on the hub, that model in the cache.

    Raises CheckpointError, with the command that fetches it, where the cache lacks it, or has none
    of its files `holding`.
    """
    given = Path(path)
    name = given.as_posix()
    if not is_hub_name(name) or os.path.lexists(given):
        return given
    snapshot = snapshot_folder(name, MAIN_REVISION, holding)
    if snapshot is None:
        raise CheckpointError(
            f"{name!r}: no such file or folder, and no model of that name in the cache of the "
            f"Hugging Face hub ({cache_folder() or 'there is no home folder'}); to fetch it from "
            f"there, run `npgpt fetch {name}`"
        )
    return snapshot


def _commit(ref: Path) -> str | None:
    try:
        with ref.open("rb") as file:
            text = file.read(_LONGEST_COMMIT_FILE).decode("ascii", "replace").strip()
    except OSError:
        return None
    return text if is_commit(text) else None
