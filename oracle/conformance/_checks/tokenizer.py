"""Checks of a byte-level BPE tokenizer: same ids, same text, nothing lost on the way."""

import math
from collections.abc import Callable
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
    words = repr(answer)
    return words if len(words) <= 120 else words[:119] + "…"


def _wrong_kind(name: str, wanted: str, answer: Any) -> Finding:
    if isinstance(answer, Misbehaviour):
        return Finding(MISMATCH, math.inf, answer.says)
    if isinstance(answer, BaseException):
        return Finding(MISMATCH, math.inf, f"{name} raised {type(answer).__name__}: {answer}")
    return Finding(MISMATCH, math.inf, f"{name} gave {_shown(answer)}; expected {wanted}")


def _encode(subject: Subject, example: TextExample) -> Any:
    return _call(subject.encode, example.vocabulary, example.text)


def _decode(subject: Subject, example: IdsExample) -> Any:
    return _call(subject.decode, example.vocabulary, example.ids)


def _there_and_back(subject: Subject, example: TextExample) -> Any:
    return _call(subject.decode, example.vocabulary, _encode(subject, example))


def _call(function: Callable[..., Any] | None, vocabulary: ByteVocabulary, given: Any) -> Any:
    # What a subject does to its arguments is its own affair: the example stays as it is.
    given = list(given) if isinstance(given, list) else given
    return function(dict(vocabulary.tokens), list(vocabulary.merges), given)


def judge_encode(dtype: str, example: TextExample, answer: Any) -> Finding:
    """The ids are the oracle's."""
    if not is_ids(answer):
        return _wrong_kind("encode", "a list of ids", answer)
    tokens, merges = example.vocabulary.tokens, example.vocabulary.merges
    expected, found = tokenizer.encode(tokens, merges, example.text), [int(n) for n in answer]
    if found == expected:
        return Finding(MATCH)
    names = {number: token for token, number in tokens.items()}
    shown = [[names.get(number, number) for number in ids] for ids in (found, expected)]
    says = f"{_shown(example.text)} became the tokens {_shown(shown[0])}; it is {_shown(shown[1])}"
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
        _encode,
        judge_encode,
        distance,
        200,
    ),
    Check(
        "tokenizer/decode",
        "the text of ids, whose bytes may be no UTF-8",
        "decode",
        lambda subject: ids_examples(),
        _decode,
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
