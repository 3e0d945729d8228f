"""What the strategies of texts can reach, and what they shrink to."""

import sys
import unicodedata

import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from oracle import tokenizer
from oracle.strategies import _texts as strategies
from oracle.strategies._texts import (
    KINDS,
    build_ids,
    build_vocabulary,
    ids_examples,
    settled,
    text_examples,
    texts,
)

SEEDS = st.integers(0, 99)


@pytest.mark.parametrize(
    "wanted",
    [
        lambda text: "'ll" in text,
        lambda text: "'LL" in text,
        lambda text: "  " in text.strip(),
        lambda text: text.endswith("  "),
        lambda text: "\r\n" in text,
        lambda text: "\u0301" in text,
        lambda text: "中" in text,
        lambda text: "😀" in text,
        lambda text: any(map(str.isdigit, text)) and any(map(str.isalpha, text)),
        lambda text: "\u3000" in text,
        lambda text: "\x00" in text,
        lambda text: len(text) > 20,
    ],
)
def test_texts_reach(wanted):
    find(texts, wanted)


def test_shrinks_to_an_empty_text_and_no_merges():
    smallest = find(text_examples(), lambda case: True)
    assert smallest.text == ""
    assert smallest.vocabulary.merges == []


def test_a_failing_example_prints_what_remakes_it():
    made = build_vocabulary("any", 3, "a b", 2, shuffled=True)
    assert eval(repr(made), vars(strategies)).tokens == made.tokens
    assert len(repr(made)) < 100


@given(texts)
def test_characters_are_of_settled_classes(text):
    assert all(settled(c) for c in text if c not in strategies.OTHERS + strategies.SPACES)
    assert text.encode().decode() == text


def test_a_settled_class_is_the_same_in_unicode_16():
    later = pytest.importorskip("unicodedata2")
    for character in map(chr, range(sys.maxunicode + 1)):
        if settled(character):
            classes = {u.category(character)[0] in "LN" for u in (unicodedata, later)}
            assert len(classes) == 1


@given(text_examples())
def test_vocabularies_hold_all_bytes_and_what_merges_make(case):
    tokens, merges = case.vocabulary.tokens, case.vocabulary.merges
    assert set(tokenizer.byte_alphabet()) <= tokens.keys()
    assert sorted(tokens.values()) == list(range(256 + len(merges)))
    assert {a + b for a, b in merges} == tokens.keys() - set(tokenizer.byte_alphabet())


@given(text_examples())
def test_every_token_is_what_its_own_merges_lead_to(case):
    ranks = tokenizer.ranks_of(case.vocabulary.tokens, case.vocabulary.merges)
    for token in case.vocabulary.tokens:
        assert tokenizer.join(token, ranks) == [token]


@pytest.mark.parametrize("kind", KINDS)
def test_merges_apply(kind):
    made = build_vocabulary(kind, 1, "the thing the other", 20)
    assert len(tokenizer.encode(made.tokens, made.merges, "the thing the other")) < 15


def test_ids_are_in_order_or_in_any():
    ordered, shuffled = (build_vocabulary("any", 1, "abc", 2, shuffled=s) for s in (False, True))
    assert [ordered.tokens[a + b] for a, b in ordered.merges] == [256, 257]
    assert [shuffled.tokens[a + b] for a, b in shuffled.merges] != [256, 257]


@given(texts, SEEDS)
def test_ids_without_losses_are_the_texts(text, seed):
    made = build_vocabulary("any", seed, text, 9)
    assert tokenizer.decode(made.tokens, made.merges, build_ids(made, seed, text, 0.0).ids) == text


def test_ids_reach_broken_bytes_and_characters_in_parts():
    def decoded(case):
        return tokenizer.decode(case.vocabulary.tokens, case.vocabulary.merges, case.ids)

    def parts(case):
        names = {number: token for token, number in case.vocabulary.tokens.items()}
        return [tokenizer.token_bytes(names[number]) for number in case.ids]

    def broken(data):
        return "\ufffd" in data.decode(errors="replace")

    find(ids_examples(), lambda case: broken(b"".join(parts(case))))
    find(
        ids_examples(),
        lambda case: "\ufffd" not in decoded(case) and any(map(broken, parts(case))),
    )
