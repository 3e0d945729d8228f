"""Fetching a GPT-2 from the Hugging Face hub into its cache, where `npgpt.load(name)` finds it.

The files are fetched and compared with the hub's hashes first; only then is the revision made to
mean them. So whatever interrupts it, `npgpt.load(name)` finds a whole model or none, or the one
that was there before.
"""

import contextlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from npgpt._quoting import kind, quoted
from npgpt.checkpoints._configuration import CONFIG
from npgpt.checkpoints._files import digest, is_plain_name, replacing
from npgpt.checkpoints._hub.cache import (
    MAIN_REVISION,
    cache_folder,
    check_hub_name,
    check_revision,
    is_offline,
    repository_folder,
    snapshot_folder,
)
from npgpt.checkpoints._hub.library import (
    HubFile,
    Repository,
    download_file,
    look_up_model,
    prepare_library,
)
from npgpt.checkpoints._loading import GENERATION_CONFIG
from npgpt.checkpoints._weights import FILE_NAMES, weight_map
from npgpt.errors import CheckpointError
from npgpt.tokenizer._files import ADDED_TOKENS, TOKENIZER_CONFIG, TOKENIZER_JSON, VOCAB_AND_MERGES

_INDEX = ".index.json"


@dataclass(frozen=True)
class Fetched:
    """A model in the cache: its folder, the commit that it is, its files there."""

    folder: Path
    commit: str
    files: tuple[Path, ...]


def fetch(name: str, *, revision: str = MAIN_REVISION, show_progress: bool = False) -> Fetched:
    """Get the files that npgpt needs of a model, those that are in the cache already excepted.

    Each file's length and hash are compared with what the hub says, also of those that were there,
    and one that differs is fetched once more. `revision` is a branch, a tag or a commit. Where
    HF_HUB_OFFLINE is set the network is not used, and the cache has to have the model.

    Raises SettingError for a name or revision that cannot be, and without huggingface_hub or a
    folder for the cache, and CheckpointError for whatever goes wrong on the way, and for what is
    no GPT-2.
    """
    check_hub_name(name)
    check_revision(revision)
    if is_offline():
        return _cached(name, revision)
    cache = cache_folder()
    if cache is None:
        raise CheckpointError("there is no home folder to keep models in; set HF_HOME to a folder")
    prepare_library(show_progress=show_progress)
    repository = look_up_model(name, revision)
    _check_kind(name, repository)

    def get(file: str) -> Path:
        return _verified(name, file, repository, cache)

    paths = [get(file) for file in _small(repository.files)]
    weights = next(file for file in FILE_NAMES if file in repository.files)
    paths.append(get(weights))
    if weights.endswith(_INDEX):
        paths += [get(shard) for shard in _shards(paths[-1], repository.files)]
    # The config last: without it, what is there so far is no checkpoint.
    paths.append(get(CONFIG))
    if revision != repository.commit:
        _point(repository_folder(cache, name) / "refs" / revision, repository.commit)
    return Fetched(paths[-1].parent, repository.commit, tuple(paths))


def _cached(name: str, revision: str) -> Fetched:
    folder = snapshot_folder(name, revision, FILE_NAMES)
    if folder is None:
        raise CheckpointError(
            f"{name} at {revision}: not in the hub's cache ({cache_folder()}), and "
            "HF_HUB_OFFLINE is set; unset it to fetch the model"
        )
    return Fetched(folder, folder.name, tuple(sorted(p for p in folder.iterdir() if p.is_file())))


def _check_kind(name: str, repository: Repository) -> None:
    if repository.model_type not in (None, "gpt2"):
        raise CheckpointError(
            f"{name}: its model_type is {kind(repository.model_type)}; npgpt runs gpt2"
        )
    for needed in ((CONFIG,), FILE_NAMES):
        if repository.files.keys().isdisjoint(needed):
            raise CheckpointError(
                f"{name}: the hub has no {' or '.join(needed)} of it; give another"
            )


def _small(names: Collection[str]) -> Iterator[str]:
    """The files beside weights and config that npgpt would read, of those there are."""
    pairs = VOCAB_AND_MERGES.items()
    if TOKENIZER_JSON in names:
        tokenizer = [TOKENIZER_JSON]
    else:
        first = next((pair for pair in pairs if not set(pair).isdisjoint(names)), ())
        tokenizer = [*first, ADDED_TOKENS]
    wanted = (GENERATION_CONFIG, TOKENIZER_CONFIG, *tokenizer)
    return (name for name in wanted if name in names)


def _shards(index: Path, names: Collection[str]) -> list[str]:
    shards = list(dict.fromkeys(weight_map(index).values()))
    for shard in shards:
        if shard not in names or not is_plain_name(shard):
            raise CheckpointError(
                f"{index}: names {quoted(shard)}, which the hub does not have beside it; the model "
                "is not whole there: give another"
            )
    return shards


def _verified(name: str, file: str, repository: Repository, cache: Path) -> Path:
    """The file in the cache, which is what the hub says it is, or else is removed."""
    expected = repository.files[file]
    for again in (False, True):
        path = download_file(name, file, repository.commit, cache, again=again)
        fault = _fault(path, expected)
        if fault is None:
            return path
    _remove(path)
    raise CheckpointError(
        f"{name} at {repository.commit}: {file}: {fault}; it came so twice and was removed: run "
        "the command again, or set HF_ENDPOINT to another server of the hub"
    )


def _fault(path: Path, expected: HubFile) -> str | None:
    size = path.stat().st_size
    if size != expected.size:
        return f"{size} bytes arrived, but the hub says {kind(expected.size)}"
    git = expected.sha256 is None
    announced = expected.git_sha1 if git else expected.sha256
    if not isinstance(announced, str):
        return "the hub says no hash to compare it with"
    arrived = digest(path, git=git)
    if arrived != announced:
        return (
            f"its {'git hash' if git else 'SHA-256'} is {arrived}, but the hub says "
            f"{quoted(announced)}"
        )
    return None


def _remove(path: Path) -> None:
    real = Path(os.path.realpath(path))  # links lead to it in a cache that has them
    for file in (real, path):
        with contextlib.suppress(OSError):
            file.unlink()


def _point(ref: Path, commit: str) -> None:
    """Make the revision mean the commit, in one step."""
    try:
        if not (ref.is_file() and ref.read_text(encoding="ascii", errors="replace") == commit):
            ref.parent.mkdir(parents=True, exist_ok=True)
            with replacing(ref) as file:
                file.write(commit.encode())
    except OSError as error:
        raise CheckpointError(f"{ref}: cannot be written ({error.strerror})") from error
