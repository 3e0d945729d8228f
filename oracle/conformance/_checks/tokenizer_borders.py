"""Checks of a tokenizer with long pieces, long texts, and special tokens in them.

Special tokens. A vocabulary may hold `<|endoftext|>`, as GPT-2's does; no merge leads to it.
Without leave, `encode(vocabulary, merges, text)` takes every text literally: where the text has
"<|endoftext|>" in it, its letters are encoded as any others are. With leave, it becomes the token:
a subject that has a way to give leave says so by "allowed_special" among its `settings`, and is
then called with allowed_special=["<|endoftext|>"]. `decode` gives the token's text for its id.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from oracle import tokenizer
from oracle.adapters.subject import Subject
from oracle.conformance._check import Check, Finding
from oracle.conformance._checks.tokenizer import (
    decoded,
    distance,
    encoded,
    expected_ids,
    judge_decode,
    judge_ids,
)
from oracle.conformance._remembered import remembered
from oracle.conformance._several import border_check
from oracle.strategies._long_texts import (
    END_OF_TEXT,
    huge_examples,
    long_ids,
    piece_examples,
    special_examples,
    special_ids,
)
from oracle.strategies._texts import TextExample

LEAVE = "allowed_special"


@remembered
def _ids(example: TextExample) -> list[int]:
    """The oracle's ids, each different piece joined once."""
    tokens, merges = example.vocabulary.tokens, example.vocabulary.merges
    alphabet, ranks = tokenizer.byte_alphabet(), tokenizer.ranks_of(tokens, merges)

    @functools.cache
    def ids_of(piece: str) -> list[int]:
        joined = tokenizer.join([alphabet[byte] for byte in tokenizer.utf8(piece)], ranks)
        return [tokens[token] for token in joined]

    return [number for piece in tokenizer.split(example.text) for number in ids_of(piece)]


def judge_encode(dtype: str, example: TextExample, answer: Any) -> Finding:
    """The ids are the oracle's."""
    return judge_ids(example, answer, _ids(example))


def encoded_with_leave(subject: Subject, example: TextExample) -> Any:
    """The ids that it gives where the special token is allowed."""
    return encoded(subject, example, **{LEAVE: [END_OF_TEXT]})


def judge_with_leave(dtype: str, example: TextExample, answer: Any) -> Finding:
    """Each END_OF_TEXT is its id, and what stands between is encoded by itself."""
    return judge_ids(example, answer, expected_ids(example, allowed_special=[END_OF_TEXT]))


def _always(
    build: Callable[[int], Sequence[tuple[str, Any]]],
) -> Callable[[Subject], Callable[[int], Sequence[tuple[str, Any]]]]:
    return lambda subject: build


CHECKS: tuple[Check, ...] = (
    border_check(
        "tokenizer/special-text",
        "Is <|endoftext|> in a text nothing but text?",
        "encode",
        _always(special_examples),
        (encoded, judge_encode, distance),
        size="toy",
    ),
    border_check(
        "tokenizer/special-allowed",
        "Is <|endoftext|> in a text its token, where it is allowed?",
        "encode",
        lambda subject: special_examples if LEAVE in subject.settings else None,
        (encoded_with_leave, judge_with_leave, distance),
        size="toy",
    ),
    border_check(
        "tokenizer/special-ids",
        "Is the id of <|endoftext|> decoded to its text?",
        "decode",
        _always(special_ids),
        (decoded, judge_decode, distance),
        size="toy",
    ),
    border_check(
        "tokenizer/long-pieces",
        "the ids of pieces of 31 to 600 characters",
        "encode",
        _always(piece_examples),
        (encoded, judge_encode, distance),
        count=3,
    ),
    border_check(
        "tokenizer/long-texts",
        "the ids of pieces of 100,000 letters, spaces and line ends, and of a megabyte",
        "encode",
        _always(huge_examples),
        (encoded, judge_encode, distance),
        count=1,
    ),
    border_check(
        "tokenizer/long-decode",
        "the text of up to 200,000 ids, each a part of a character",
        "decode",
        _always(long_ids),
        (decoded, judge_decode, distance),
        count=1,
    ),
)
