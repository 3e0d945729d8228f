"""Loading a saved trace: its arrays are views of the file, read when they are looked at."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from npgpt._arrays import Tokens
from npgpt._config import Config
from npgpt._quoting import listed
from npgpt.audit.saved import _arrays as arrays_file
from npgpt.audit.saved import _metadata as metadata
from npgpt.checkpoints._files import check_unchanged, find, identity
from npgpt.errors import CheckpointError
from npgpt.model._paging import check_whole, mappings
from npgpt.trace import Key, Recorder, in_order, label


@dataclass(frozen=True, eq=False)
class Saved:
    """A trace that was saved: what `trace` holds, in the order of the pass, are views of its file.

    tokens (batch, query) and config are what the pass was of; floors, its `noise_floors`.
    """

    trace: Recorder
    tokens: Tokens
    config: Config
    floors: Mapping[Key, float]

    @property
    def dtype(self) -> str:
        """What the pass was computed in, float32 or float64."""
        return next(iter(self.trace.arrays.values())).dtype.name

    def check_whole(self) -> None:
        """Raise CheckpointError where somebody has cut the file short since it was opened."""
        check_whole(mappings(self.trace.arrays.values()))


def load(folder: str | os.PathLike[str]) -> Saved:
    """The trace in a folder that `save` wrote. Its arrays are read only when they are looked at.

    Raises CheckpointError, or ConfigError, naming the file and the place, for anything else.
    """
    home = Path(folder)
    about_path, path = find(home, metadata.FILE), find(home, arrays_file.FILE)
    if about_path is None or path is None:
        missing = metadata.FILE if about_path is None else arrays_file.FILE
        raise CheckpointError(
            f"{home}: no {missing} here; give a folder that a trace was saved in, as by "
            "npgpt.audit.saved.save"
        )
    before = identity(about_path)
    about = metadata.read(about_path)
    arrays = arrays_file.read(path, about)
    unlike = {label(*key) for key in arrays} ^ about.floors.keys()
    if unlike:
        raise CheckpointError(
            f"{home}: {listed(sorted(unlike))} is in one of {metadata.FILE} and "
            f"{arrays_file.FILE} only; take both from one place"
        )
    check_unchanged(about_path, before)
    ordered = in_order(arrays)
    recorder = Recorder(
        tuple(label(*key) for key in ordered), {key: arrays[key] for key in ordered}
    )
    floors = {key: about.floors[label(*key)] for key in ordered}
    return Saved(recorder, about.tokens, about.config, floors)
