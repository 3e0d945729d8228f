"""All 1,112,064 characters of Unicode, each alone and in context."""

import sys

from reference_tokenizers import END_OF_TEXT, gpt2, gpt2_hugging_face_special, gpt2_tiktoken

CHUNK = 1 << 14


def contexts(character: str) -> str:
    """The character alone, then after a letter, after a space, and before one.

    The special token keeps each apart from the others.
    """
    return f"{character}{END_OF_TEXT}a{character} {character} x{END_OF_TEXT}"


def test_ids_are_those_of_tiktoken_and_hugging_face() -> None:
    scalars = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    assert len(scalars) == 1_112_064
    for start in range(0, len(scalars), CHUNK):
        text = "".join(map(contexts, scalars[start : start + CHUNK]))
        ids = gpt2().encode(text, allowed_special="all")
        assert ids == gpt2_tiktoken().encode(text, allowed_special="all")
        (encoding,) = gpt2_hugging_face_special().encode_batch_fast([text])
        assert ids == encoding.ids
        assert gpt2().decode(ids) == text
