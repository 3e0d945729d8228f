"""Texts that a tokenizer may get wrong, and small vocabularies in which it shows.

A vocabulary holds the 256 bytes and a few merges, each of a pair that stands in the text itself:
most of what a tokenizer can get wrong changes which of them apply.
"""

import itertools
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from hypothesis import strategies as st

from oracle.strategies._arrays import MAX_SEED
from oracle.tokenizer import byte_alphabet, join, join_pair

Symbols: TypeAlias = list[str]
Pair: TypeAlias = tuple[str, str]

CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "’s", "'", "''s", "'sa")
WORDS = (
    "the",
    " hello",
    "Hello",
    " don't",
    "we'll",
    "I'LL",
    "naïve",
    "Straße",
    "cafe\u0301",
    "e\u0301",
    "\u212b",
    "a b",
    "ab.",
    "2024",
)
SPACES = " \t\n\r\v\f\x1c\x1f\x85\xa0\u1680\u2003\u2028\u202f\u3000"
DIGITS = "0123456789²½Ⅷ٣〇"
LETTERS = "\u212baZéßøЖشअ中あ가ª\u0300\u0301\u0903\u094d\u20dd"  # and marks, which are no letters
OTHERS = "!?.,-_'\"#€\x00\x7f\xad\u200b\u200d\ufeff\ufffd\uffff😀🏽\U0010ffff"
LATER = "\u200b\u2003😀🏽\uffff\U0010ffff"  # unassigned, or others, in Unicode 3.2; since settled
CLEANED = (" .", " ,", " ?", " !", " 's", " n't", "\ufffd", "  ", "\r\n")


def settled(character: str) -> bool:
    """Whether every Unicode version from 3.2 to this Python's puts it in the same class.

    Letters that came later are of another class in an implementation that is older than they.

    >>> settled("é"), settled("\\U0001df00")
    (True, False)
    """
    if character in LATER:
        return True
    then, now = (u.category(character) for u in (unicodedata.ucd_3_2_0, unicodedata))
    return then[0] == now[0] and then != "Cn"


characters = st.characters(exclude_categories=["Cs", "Cn"]).filter(settled)

_pieces = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(CONTRACTIONS),
    st.sampled_from(("'ll'll", "we'll", "I'LL", "we've", "you're", "n\u0303o")),
    st.builds("{}{} ".format, st.sampled_from("aé1"), st.sampled_from(CONTRACTIONS)),
    st.text(SPACES, min_size=1, max_size=3),
    st.text(" \n", min_size=1, max_size=4),
    st.text(DIGITS, min_size=1, max_size=3),
    st.text(LETTERS, min_size=1, max_size=3),
    st.text(OTHERS, min_size=1, max_size=3),
    st.sampled_from(CLEANED),
    st.text(characters, max_size=3),
)
texts = st.lists(_pieces, max_size=10).map("".join)
"""Short texts of words, contractions, runs of spaces, digits, marks, emoji and any characters."""


@dataclass(frozen=True)
class ByteVocabulary:
    """tokens: from token to id; merges: pairs by rank. Prints as the call that made it."""

    tokens: dict[str, int] = field(repr=False)
    merges: list[tuple[str, str]] = field(repr=False)
    recipe: str

    def __repr__(self) -> str:
        return self.recipe


@dataclass(frozen=True)
class TextExample:
    """A text to encode."""

    vocabulary: ByteVocabulary
    text: str


@dataclass(frozen=True)
class IdsExample:
    """Ids to decode, whose bytes may be no UTF-8."""

    vocabulary: ByteVocabulary
    ids: list[int]


def _commonest(rng: Random, tokens: Sequence[str], merged: Symbols, symbols: Symbols) -> Pair:
    return Counter(itertools.pairwise(merged)).most_common(1)[0][0]


def _any(rng: Random, tokens: Sequence[str], merged: Symbols, symbols: Symbols) -> Pair:
    # Neighbours in some way to cut the text, not only in the way that the merges so far cut it: so
    # merges overlap, and it matters in which order they apply.
    cut, rest = [], "".join(symbols)
    while rest:
        cut.append(rng.choice([token for token in tokens if rest.startswith(token)]))
        rest = rest[len(cut[-1]) :]
    return rng.choice(list(itertools.pairwise(cut)) or [("", "")])


# How the next pair to merge is chosen, given the tokens so far and the text as they are joined in
# it, and as bytes. The text is not split first, so pairs may cross its words.
KINDS: dict[str, Callable[[Random, Sequence[str], Symbols, Symbols], Pair]] = {
    "commonest": _commonest,  # as in training
    "any": _any,  # whichever: ranks say nothing of how common a pair is
}


def build_vocabulary(
    kind: str, seed: int, text: str, merges: int, *, shuffled: bool = False
) -> ByteVocabulary:
    """256 bytes and up to `merges` merges of pairs that stand in the text.

    shuffled: ids in any order; else bytes in the order of their characters, then merges by rank, as
    GPT-2 has them.

    >>> made = build_vocabulary("commonest", 0, "abcabc", 9)
    >>> made.merges, made.tokens["!"], made.tokens["abcabc"]
    ([('a', 'b'), ('ab', 'c'), ('abc', 'abc')], 0, 258)
    """
    rng, alphabet = Random(f"{kind} {seed}"), byte_alphabet()
    symbols = merged = [alphabet[byte] for byte in text.encode()]
    used = sorted(set(symbols))
    tokens: list[str] = []
    ranks: dict[Pair, int] = {}
    for _ in range(merges if len(symbols) > 1 else 0):
        if len(merged) < 2 and kind == "commonest":
            break
        pair = KINDS[kind](rng, used + tokens, merged, symbols)
        # Training only makes tokens that their own merges lead to, so these do too.
        if join("".join(pair), ranks) == list(pair):
            ranks[pair] = len(ranks)
            tokens.append("".join(pair))
            merged = join_pair(merged, pair)
    tokens = sorted(alphabet) + tokens
    if shuffled:
        rng.shuffle(tokens)
    recipe = f"build_vocabulary({kind!r}, {seed}, {text!r}, {merges}, shuffled={shuffled})"
    return ByteVocabulary({token: i for i, token in enumerate(tokens)}, list(ranks), recipe)


@st.composite
def text_examples(draw: st.DrawFn, *, kinds: Sequence[str] = tuple(KINDS)) -> TextExample:
    """A text, and a vocabulary made for it; shrinks to an empty text and no merges."""
    return TextExample(_vocabulary(draw, text := draw(texts), kinds), text)


@st.composite
def ids_examples(draw: st.DrawFn, *, kinds: Sequence[str] = tuple(KINDS)) -> IdsExample:
    """The text's bytes in any of the tokens that they can be cut into, some lost or changed."""
    text = draw(texts)
    vocabulary = _vocabulary(draw, text, kinds)
    losses = draw(st.sampled_from([0.0, 0.0, 0.2]))
    return build_ids(vocabulary, draw(st.integers(0, MAX_SEED)), text, losses)


def build_ids(vocabulary: ByteVocabulary, seed: int, text: str, losses: float) -> IdsExample:
    """Ids of the text's bytes, cut as `seed` says; of each `losses` is the chance to be lost.

    >>> vocabulary = build_vocabulary("commonest", 0, "aé", 9)
    >>> build_ids(vocabulary, 2, "aé", 0.0).ids  # aÃ, ©
    [256, 102]
    """
    rng, rest, ids = Random(f"ids {seed}"), text.encode(), []
    value = {character: byte for byte, character in enumerate(byte_alphabet())}
    parts = [(bytes(value[c] for c in token), i) for token, i in vocabulary.tokens.items()]
    while rest:
        part, number = rng.choice([pair for pair in parts if rest.startswith(pair[0])])
        rest = rest[len(part) :]
        if rng.random() >= losses:
            ids.append(number)
        elif rng.random() < 0.5:
            ids.append(rng.randrange(len(vocabulary.tokens)))
    return IdsExample(vocabulary, ids)


def _vocabulary(draw: st.DrawFn, text: str, kinds: Sequence[str]) -> ByteVocabulary:
    return build_vocabulary(
        draw(st.sampled_from(kinds)),
        draw(st.integers(0, MAX_SEED)),
        text,
        draw(st.integers(0, 40)),
        shuffled=draw(st.booleans()),
    )
