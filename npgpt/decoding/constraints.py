"""Phrases that a text must hold: how far it has come with each of them."""

from collections.abc import Sequence
from typing import TypeAlias

from npgpt.decoding.settings import Phrase

# One constraint: alternative phrases, of which the text must hold one.
Alternatives: TypeAlias = tuple[Phrase, ...]
# The state of a constraint's automaton: the longest end of the text that begins one of its phrases;
# None once the text has held one of them, which is for ever.
Match: TypeAlias = Phrase | None


def followed(phrases: Alternatives, match: Match, token: int) -> Match:
    """The match after one more token: one move of the Aho–Corasick automaton of the phrases.

    A phrase that ends with the token began at most as long ago as the match did. So its end, and
    the next match, lie within the match and the token: after 1, 1 the phrase 1, 2 is one token in.

    Source: Aho and Corasick 1975, "Efficient String Matching"; of one phrase it is Knuth, Morris
    and Pratt 1977.

    >>> followed(((1, 2),), (1,), 1), followed(((1, 2),), (1,), 2)
    ((1,), None)
    """
    if match is None:
        return None
    text = (*match, token)
    ends = [text[start:] for start in range(len(text) + 1)]  # the longest first, () the last
    if any(end in phrases for end in ends):
        return None
    return next(end for end in ends if any(phrase[: len(end)] == end for phrase in phrases))


def all_followed(
    constraints: Sequence[Alternatives], matches: Sequence[Match], token: int
) -> tuple[Match, ...]:
    """The match of each constraint after one more token.

    >>> all_followed((((1, 2),), ((3,), (2, 4))), ((1,), ()), 2)
    (None, (2,))
    """
    pairs = zip(constraints, matches, strict=True)
    return tuple(followed(phrases, match, token) for phrases, match in pairs)


def unmet(matches: Sequence[Match]) -> bool:
    """Whether a constraint is not fulfilled yet.

    >>> unmet(()), unmet((None, ()))
    (False, True)
    """
    return any(match is not None for match in matches)


def progress(constraints: Sequence[Alternatives], matches: Sequence[Match]) -> int:
    """How many tokens of all phrases the text has: those of each match.

    A constraint that is fulfilled counts its longest phrase.

    >>> progress((((1, 2),), ((3,), (2, 4))), ((1,), None))
    3
    """
    pairs = zip(constraints, matches, strict=True)
    return sum(max(map(len, phrases)) if match is None else len(match) for phrases, match in pairs)


def useful(constraints: Sequence[Alternatives], matches: Sequence[Match]) -> list[int]:
    """The only tokens that can raise the progress: those of phrases still wanted, by id.

    >>> useful((((1, 2),), ((3,), (2, 4))), (None, ()))
    [2, 3, 4]
    """
    pairs = zip(constraints, matches, strict=True)
    wanted = [phrases for phrases, match in pairs if match is not None]
    return sorted({token for phrases in wanted for phrase in phrases for token in phrase})
