"""huggingface_hub, the library that talks to the Hugging Face hub; no other file imports it."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npgpt._quoting import kind
from npgpt.checkpoints._hub.cache import is_commit
from npgpt.errors import CheckpointError, SettingError

_AGAIN = "run the command again; what has arrived whole is kept"
_LONGEST_REASON = 200
_ATTEMPTS = 3


@dataclass(frozen=True)
class HubFile:
    """What the hub says of a file: its size, and the SHA-256 of it or else git's SHA-1."""

    size: int
    sha256: str | None
    git_sha1: str | None


@dataclass(frozen=True)
class Repository:
    """What the hub says of a model: the commit that a revision means, and its files.

    `model_type` is that of its config.json, or None where the hub does not say.
    """

    commit: str
    files: dict[str, HubFile]
    model_type: str | None


def prepare_library(*, show_progress: bool) -> None:
    """Import the library, and have it show progress bars on standard error, or nothing at all.

    Raises SettingError where it is not installed.
    """
    try:
        from huggingface_hub import utils
    except ImportError as error:
        raise SettingError(
            f"huggingface_hub, which fetches models, cannot be imported ({error}); run "
            "`pip install huggingface_hub`"
        ) from error
    utils.logging.set_verbosity_error()
    with warnings.catch_warnings():
        # HF_HUB_DISABLE_PROGRESS_BARS overrules this; the library then warns.
        warnings.simplefilter("ignore")
        (utils.enable_progress_bars if show_progress else utils.disable_progress_bars)()


def look_up_model(name: str, revision: str) -> Repository:
    """The commit and the files that a revision of a model has on the hub now."""
    from huggingface_hub import HfApi

    where = f"{name} at {revision}"
    with _explaining(where):
        info = HfApi(endpoint=_endpoint()).model_info(name, revision=revision, files_metadata=True)
        files = {file.rfilename: _hub_file(file) for file in info.siblings or ()}
        config = info.config or {}
        commit, model_type = info.sha, config.get("model_type")
    if not is_commit(commit):
        raise CheckpointError(f"{where}: the hub names {kind(commit)} as the commit; {_AGAIN}")
    return Repository(commit, files, model_type)


def download_file(name: str, file: str, commit: str, cache: Path, *, again: bool = False) -> Path:
    """The path of a file in the cache, once it is there; with `again` it is fetched anew.

    A connection that breaks is resumed where it broke. The file appears in one step, or not at all;
    the library compares its length with what the hub says, and not its hash.
    """
    from huggingface_hub import hf_hub_download

    with _explaining(f"{name} at {commit}: {file}"):
        # Releases of the library differ in what they try again themselves.
        failed = 0
        while True:
            try:
                return Path(
                    hf_hub_download(
                        name,
                        file,
                        revision=commit,
                        cache_dir=cache,
                        endpoint=_endpoint(),
                        force_download=again,
                    )
                )
            except Exception as error:
                failed += 1
                if failed == _ATTEMPTS or not _may_pass(error):
                    raise
                # Those before 2 would go on with a file of the wrong length for ever.
                again = again or type(error) is OSError


def _may_pass(error: Exception) -> bool:
    """Whether the connection broke, or something of the wrong length came."""
    from huggingface_hub.utils import LocalEntryNotFoundError

    has_answer = (
        getattr(error, "response", None) is not None or getattr(error, "errno", None) is not None
    )
    return not has_answer and not isinstance(error, LocalEntryNotFoundError)


def _endpoint() -> str | None:
    # The library reads the variable only once, when it is imported.
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def _hub_file(file: Any) -> HubFile:
    lfs = file.lfs
    return HubFile(
        size=lfs.size if lfs else file.size,
        sha256=lfs.sha256 if lfs else None,
        git_sha1=None if lfs else file.blob_id,
    )


@contextmanager
def _explaining(where: str) -> Iterator[None]:
    """Whatever the library, and the libraries below it, raise becomes one CheckpointError."""
    try:
        yield
    except Exception as error:
        raise CheckpointError(f"{where}: {_explanation(error)}") from error


def _explanation(error: Exception) -> str:
    from huggingface_hub import utils

    if isinstance(error, utils.LocalEntryNotFoundError):  # what it raises without a connection
        error = error.__cause__ if isinstance(error.__cause__, Exception) else error
    if isinstance(error, utils.GatedRepoError):
        return (
            "the hub gives it to people only who accepted its terms; accept them on the model's "
            "page, and put a token of your account in HF_TOKEN"
        )
    if isinstance(error, utils.RevisionNotFoundError):
        return "the hub has the model but no such revision; check --revision"
    if isinstance(error, utils.RepositoryNotFoundError):
        return (
            "the hub has no such model, or it is private; check the name, and for a private one "
            "put a token of your account in HF_TOKEN"
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return (
            f"the hub refused it (HTTP {status}); check the name, which may be that of no model or "
            "a private one, and the token in HF_TOKEN"
        )
    if status == 404:
        return f"the hub does not have it (HTTP 404); {_AGAIN}"
    if status is not None:
        return f"the hub failed (HTTP {status}); wait a while, then {_AGAIN}"
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return f"cannot be written or fetched ({error.strerror}); {_AGAIN}"
    reason = " ".join([f"{type(error).__name__}:", *str(error).split()])[:_LONGEST_REASON]
    return f"could not be fetched ({reason}); check the connection, and {_AGAIN}"
