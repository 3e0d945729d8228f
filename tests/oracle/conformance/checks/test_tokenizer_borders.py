"""Long pieces, long texts and special tokens: right tokenizers pass, second paths are told."""

from dataclasses import replace

import pytest

from oracle import tokenizer
from oracle.adapters import npgpt
from oracle.adapters.guard import guarded
from oracle.adapters.subject import Subject
from oracle.conformance._checks.tokenizer_borders import CHECKS
from oracle.conformance._outcome import NOT_OFFERED, RIGHT, WRONG, run
from oracle.strategies._long_texts import END_OF_TEXT, huge_examples

ORACLE = Subject(
    "oracle",
    encode=tokenizer.encode,
    decode=tokenizer.decode,
    settings=("allowed_special",),
)
NAMED = {check.name.partition("/")[2]: check for check in CHECKS}


@pytest.mark.parametrize("name", NAMED)
def test_right_tokenizers_pass(name):
    assert run(NAMED[name], guarded(npgpt.subject()), count=1).verdict == RIGHT
    assert run(NAMED[name], ORACLE, count=1).verdict == RIGHT


def test_leave_is_asked_for_only_where_it_can_be_given():
    assert run(NAMED["special-allowed"], replace(ORACLE, settings=())).verdict == NOT_OFFERED


def test_the_sizes_of_the_issue_are_all_there():
    texts = dict(huge_examples(0))
    assert len(texts["a megabyte"].text.encode()) >= 1_000_000
    assert any(
        len(piece) == 100_000 for piece in tokenizer.split(texts["a piece of 100000 letters"].text)
    )


def chunked(limit):
    """Pieces above the limit are merged in parts of that many bytes."""

    def encode(vocabulary, merges, text):
        alphabet, ranks = tokenizer.byte_alphabet(), tokenizer.ranks_of(vocabulary, merges)
        ids = []
        for piece in tokenizer.split(text):
            symbols = [alphabet[byte] for byte in tokenizer.utf8(piece)]
            for start in range(0, len(symbols), limit):
                joined = tokenizer.join(symbols[start : start + limit], ranks)
                ids += [vocabulary[token] for token in joined]
        return ids

    return encode


def special_always(vocabulary, merges, text):
    allowed = [token for token in (END_OF_TEXT,) if token in vocabulary]
    return tokenizer.encode(vocabulary, merges, text, allowed_special=allowed)


@pytest.mark.parametrize(
    ("encode", "check", "says"),
    [
        (chunked(32), "long-pieces", "a piece of 32 letters"),
        (chunked(512), "long-pieces", "a piece of 600 letters"),
        (special_always, "special-text", "<|endoftext|>"),
    ],
)
def test_a_bug_of_the_issue_is_wrong_and_its_size_is_said(encode, check, says):
    outcome = run(NAMED[check], replace(ORACLE, encode=encode))
    assert outcome.verdict == WRONG
    assert says in outcome.says


def test_leave_that_is_not_heeded_is_told():
    def never(vocabulary, merges, text, *, allowed_special=()):
        return tokenizer.encode(vocabulary, merges, text)

    assert run(NAMED["special-allowed"], replace(ORACLE, encode=never)).verdict == WRONG


def test_halves_that_are_decoded_in_parts_are_told():
    def in_parts(vocabulary, merges, ids):
        parts = [ids[i : i + 4096] for i in range(0, len(ids), 4096)]
        return "".join(tokenizer.decode(vocabulary, merges, part) for part in parts)

    outcome = run(NAMED["long-decode"], replace(ORACLE, decode=in_parts))
    assert outcome.verdict == WRONG
