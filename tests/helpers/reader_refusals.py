"""How a reader has to refuse a bad file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from npgpt.errors import CheckpointError, ConfigError

LONGEST = 300  # characters of a message, besides the path


def check_refused(
    read: Callable[[Path], object], path: Path, said: str, *, culprit: Path | None = None
) -> None:
    """Reading the path gives one short error: it starts with the bad file's name and says why."""
    with pytest.raises((CheckpointError, ConfigError)) as caught:
        read(path)
    text = str(caught.value)
    assert text.startswith(f"{culprit or path}: ")
    assert said in text
    assert len(text) < len(str(path)) + LONGEST
