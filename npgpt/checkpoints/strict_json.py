"""JSON in the files of checkpoints: `npgpt.strict_json`, within a limit, as CheckpointErrors."""

from typing import Any

from npgpt import strict_json
from npgpt.errors import CheckpointError

# What keeps a hostile file from taking much memory. A header of GPT-2 XL has 60,000 bytes.
LIMIT = 1_000_000


def parse(data: bytes, where: str) -> Any:
    """The value of a JSON text in UTF-8, of 1 MB at most; the error starts with `where`.

    >>> parse(b'{"a": [1, 2.5]}', "an example")
    {'a': [1, 2.5]}
    >>> parse(b'{"a": 1, "a": 2}', "an example")
    Traceback (most recent call last):
        ...
    npgpt.errors.CheckpointError: an example: the field 'a' is given twice
    """
    return strict_json.parse(data, where, limit=LIMIT, error=CheckpointError)


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """The fields of a JSON object; as `parse`, and anything but an object is an error.

    >>> parse_object(b"[]", "an example")
    Traceback (most recent call last):
        ...
    npgpt.errors.CheckpointError: an example: holds a list; expected a JSON object
    """
    return strict_json.parse_object(data, where, limit=LIMIT, error=CheckpointError)
