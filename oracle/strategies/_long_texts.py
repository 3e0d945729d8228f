"""Long texts for a tokenizer: pieces of up to 100,000 letters, a megabyte, and special tokens.

Tokenizers have a second way to merge what is long, cut what does not fit a buffer, and stop, or
overflow a stack, where a pattern backtracks. Merges are made for a few hundred letters of the text,
which has few different ones, so that they overlap all along it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from oracle.strategies._texts import ByteVocabulary, IdsExample, TextExample, build_vocabulary
from oracle.tokenizer import byte_alphabet

END_OF_TEXT = "<|endoftext|>"
# About thresholds in use: 32, 128 and 500 letters, and a power beside each.
PIECES = (31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 499, 500, 501, 600)
HUGE = 100_000
MEGABYTE = 1_000_000
# Merges are made for so many letters of a text, and there are so many at most.
SAMPLE = 120
MERGES = 12
SPECIAL_TEXTS = (
    END_OF_TEXT,
    f"a{END_OF_TEXT}b",
    f"{END_OF_TEXT}{END_OF_TEXT}",
    f" {END_OF_TEXT} ",
    f"x{END_OF_TEXT[:-1]}",
    f"<{END_OF_TEXT}>\n",
    "<|endoftext |>",
)


@dataclass(frozen=True)
class _Text:
    """A text, and what is long in it."""

    label: str
    text: str


def _letters(rng: Random, alphabet: str, count: int) -> str:
    return "".join(rng.choices(alphabet, k=count))


def _pieces(rng: Random) -> Iterator[_Text]:
    for length in PIECES:
        word = _letters(rng, "abc", length)
        yield _Text(f"a piece of {length} letters", f"ab {word} {word[:5]}")
    for length in (33, 129, 600):
        yield _Text(f"a piece of {length} letters of two bytes", _letters(rng, "éà", length))
        yield _Text(f"a piece of {length} digits", _letters(rng, "12", length))
        yield _Text(f"a piece of {length} signs of four bytes", _letters(rng, "😀🏽", length))


def _huge(rng: Random) -> Iterator[_Text]:
    yield _Text(f"a piece of {HUGE} letters", _letters(rng, "ab", HUGE))
    yield _Text(f"{HUGE} spaces before a word", " " * HUGE + "ab")
    yield _Text(f"{HUGE} line ends", "\n" * HUGE)
    words = [_letters(rng, "abc", rng.randint(1, 9)) for _ in range(200)] + ["é", "7", "...", "'ll"]
    text = ""
    while len(text) < MEGABYTE:
        text += " ".join(rng.choices(words, k=20_000)) + "\n\n"
    yield _Text("a megabyte", text[:MEGABYTE])


def _examples(
    texts: Callable[[Random], Iterator[_Text]], seed: int, *, shuffled: bool
) -> list[tuple[str, TextExample]]:
    rng = Random(f"{seed} {texts.__name__}")
    made = []
    for one in texts(rng):
        # From the middle too: the first letters may be spaces alone.
        middle = len(one.text) // 2
        sample = one.text[:SAMPLE] + one.text[middle : middle + SAMPLE]
        kind = rng.choice(["any", "commonest"])
        vocabulary = build_vocabulary(kind, rng.randrange(2**32), sample, MERGES, shuffled=shuffled)
        made.append((one.label, TextExample(vocabulary, one.text)))
    return made


def piece_examples(seed: int) -> list[tuple[str, TextExample]]:
    """A text for each of PIECES, and some of longer characters: the same on every run.

    >>> label, example = piece_examples(0)[2]
    >>> label, len(example.text.split(" ")[1])
    ('a piece of 33 letters', 33)
    """
    return _examples(_pieces, seed, shuffled=True)


def huge_examples(seed: int) -> list[tuple[str, TextExample]]:
    """Pieces of HUGE letters, spaces and line ends, and a text of a megabyte."""
    return _examples(_huge, seed, shuffled=False)


def special_vocabulary(seed: int, text: str) -> ByteVocabulary:
    """A vocabulary of a few merges of the text, in which END_OF_TEXT is a token: the last id.

    No merge leads to it, as in GPT-2.
    """
    made = build_vocabulary("commonest", seed, text, 6)
    tokens = made.tokens | {END_OF_TEXT: len(made.tokens)}
    return ByteVocabulary(tokens, made.merges, f"special_vocabulary({seed}, {text!r})")


def special_examples(seed: int) -> list[tuple[str, TextExample]]:
    """Texts in which the special token's own text stands, whole or nearly.

    >>> special_examples(0)[1][1].text
    'a<|endoftext|>b'
    """
    return [
        (repr(text), TextExample(special_vocabulary(seed, text), text)) for text in SPECIAL_TEXTS
    ]


def special_ids(seed: int) -> list[tuple[str, IdsExample]]:
    """Ids among which that of the special token is."""
    vocabulary = special_vocabulary(seed, "ab")
    end, (a, b) = vocabulary.tokens[END_OF_TEXT], (vocabulary.tokens[c] for c in "ab")
    rows: Sequence[list[int]] = ([end], [a, end, b], [end, end, a])
    return [(f"ids {row}", IdsExample(vocabulary, row)) for row in rows]


def long_ids(seed: int) -> list[tuple[str, IdsExample]]:
    """Many ids of halves of characters: what is decoded in parts breaks them."""
    rng = Random(f"{seed} ids")
    made = []
    for count in (*PIECES, 4095, 4096, 4097, 8193, 65537):
        # One letter of one byte before them puts the others across every even border.
        text = "a" + _letters(rng, "é€😀", count)
        vocabulary = build_vocabulary("commonest", 0, "aé€", 0)
        alphabet = byte_alphabet()
        ids = [vocabulary.tokens[alphabet[byte]] for byte in text.encode()]
        made.append((f"{len(ids)} ids", IdsExample(vocabulary, ids)))
    return made
