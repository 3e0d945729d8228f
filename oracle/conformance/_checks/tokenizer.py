"""Checks of a byte-level BPE tokenizer: same ids, same text, nothing lost on the way."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracle import tokenizer
from oracle.adapters.guard import Misbehaviour
from oracle.adapters.subject import Subject
from oracle.conformance._check import MATCH, MISMATCH, Check, Finding
from oracle.strategies._texts import (
    ByteVocabulary,
    IdsExample,
    TextExample,
    ids_examples,
    text_examples,
)

REPLACEMENT = "\ufffd"
SHOWN = 5  # tokens before the first that differs


def is_ids(answer: Any) -> bool:
    """Whether it is a flat sequence of whole numbers."""
    if isinstance(answer, np.ndarray):
        return answer.ndim == 1 and (answer.dtype.kind in "iu" or not answer.size)
    whole = (int, np.integer)
    return isinstance(answer, list | tuple) and all(
        isinstance(number, whole) and not isinstance(number, bool) for number in answer
    )


def distance(dtype: str, example: Any, one: Any, other: Any) -> float:
    """0 where both answers are the same ids or texts, or misbehave alike; else infinity."""
    return 0.0 if _comparable(one) == _comparable(other) else math.inf


def _comparable(answer: Any) -> Any:
    if isinstance(answer, Misbehaviour):
        return answer.kind
    if isinstance(answer, BaseException):
        return type(answer)
    if is_ids(answer):
        return [int(number) for number in answer]
    if isinstance(answer, tuple) and len(answer) == 2:
        return [_comparable(part) for part in answer]
    return answer if isinstance(answer, str) else repr(answer)


def _shown(answer: Any) -> str:
    """The answer in one line."""
    words = repr(answer[:200] if isinstance(answer, str | list) else answer)
    return words if len(words) <= 120 else words[:119] + "…"


def _wrong_kind(name: str, wanted: str, answer: Any) -> Finding:
    if isinstance(answer, Misbehaviour):
        return Finding(MISMATCH, math.inf, answer.says)
    if isinstance(answer, BaseException):
        return Finding(MISMATCH, math.inf, f"{name} raised {type(answer).__name__}: {answer}")
    return Finding(MISMATCH, math.inf, f"{name} gave {_shown(answer)}; expected {wanted}")


def encoded(subject: Subject, example: TextExample, **leave: Any) -> Any:
    """What the subject's `encode` gives for the text."""
    return _call(subject.encode, example.vocabulary, example.text, **leave)


def decoded(subject: Subject, example: IdsExample) -> Any:
    """What the subject's `decode` gives for the ids."""
    return _call(subject.decode, example.vocabulary, example.ids)


def _there_and_back(subject: Subject, example: TextExample) -> Any:
    return _call(subject.decode, example.vocabulary, encoded(subject, example))


def _call(
    function: Callable[..., Any] | None, vocabulary: ByteVocabulary, given: Any, **more: Any
) -> Any:
    # What a subject does to its arguments is its own affair: the example stays as it is.
    given = list(given) if isinstance(given, list) else given
    assert function is not None  # a check is asked only of what is offered
    return function(dict(vocabulary.tokens), list(vocabulary.merges), given, **more)


def judge_encode(dtype: str, example: TextExample, answer: Any) -> Finding:
    """The ids are the oracle's."""
    return judge_ids(example, answer, expected_ids(example))


def expected_ids(example: TextExample, *, allowed_special: Sequence[str] = ()) -> list[int]:
    """The oracle's ids of the text."""
    tokens, merges = example.vocabulary.tokens, example.vocabulary.merges
    return tokenizer.encode(tokens, merges, example.text, allowed_special=allowed_special)


def judge_ids(example: TextExample, answer: Any, expected: list[int]) -> Finding:
    """The ids are these."""
    if not is_ids(answer):
        return _wrong_kind("encode", "a list of ids", answer)
    given = [int(number) for number in answer]
    if given == expected:
        return Finding(MATCH)
    names = {number: token for token, number in example.vocabulary.tokens.items()}
    # Where they part, if that is far from the beginning.
    same = next(
        (i for i, pair in enumerate(zip(given, expected, strict=False)) if len(set(pair)) > 1), 0
    )
    first = same - SHOWN if same > 2 * SHOWN else 0
    shown = [
        _shown([names.get(number, number) for number in ids[first : first + 4 * SHOWN]])
        for ids in (given, expected)
    ]
    place = f" from token {first} on" if first else ""
    says = f"{_shown(example.text)} became the tokens {shown[0]}{place}; it is {shown[1]}"
    return Finding(MISMATCH, math.inf, says)


def judge_decode(dtype: str, example: IdsExample, answer: Any) -> Finding:
    """The text is the oracle's; how many U+FFFD stand for ill-formed bytes may differ."""
    if not isinstance(answer, str):
        return _wrong_kind("decode", "a text", answer)
    tokens, merges = example.vocabulary.tokens, example.vocabulary.merges
    expected = tokenizer.decode(tokens, merges, example.ids)
    if answer == expected:
        return Finding(MATCH)
    if _one_replacement(answer) == _one_replacement(expected):
        # Unicode 16.0, section 3.9, recommends how many, but requires only that there is one.
        return Finding(MATCH, 0.0, "another number of U+FFFD for ill-formed bytes")
    says = f"the ids became {_shown(answer)}; they are {_shown(expected)}"
    return Finding(MISMATCH, math.inf, says)


def _one_replacement(text: str) -> str:
    while REPLACEMENT * 2 in text:
        text = text.replace(REPLACEMENT * 2, REPLACEMENT)
    return text


def judge_there_and_back(dtype: str, example: TextExample, answer: Any) -> Finding:
    """The text comes back as it was, whatever the ids."""
    if not isinstance(answer, str):
        return _wrong_kind("decode(encode(text))", "a text", answer)
    if answer == example.text:
        return Finding(MATCH)
    says = f"{_shown(example.text)} came back as {_shown(answer)}"
    return Finding(MISMATCH, math.inf, says)


def _if_it_decodes(subject: Subject) -> "st.SearchStrategy[Any] | None":
    return text_examples() if subject.decode else None


CHECKS = (
    Check(
        "tokenizer/encode",
        "the ids of texts under small vocabularies",
        "encode",
        lambda subject: text_examples(),
        encoded,
        judge_encode,
        distance,
        200,
    ),
    Check(
        "tokenizer/decode",
        "the text of ids, whose bytes may be no UTF-8",
        "decode",
        lambda subject: ids_examples(),
        decoded,
        judge_decode,
        distance,
        200,
    ),
    Check(
        "tokenizer/round trip",
        "decode gives back what encode was given",
        "encode",
        _if_it_decodes,
        _there_and_back,
        judge_there_and_back,
        distance,
        200,
    ),
)
