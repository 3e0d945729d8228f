"""Validation of a vocabulary and its merges, before anything is encoded with them."""

from collections import Counter
from collections.abc import Iterable, Mapping

from npgpt._quoting import brief, quoted
from npgpt.errors import TokenizerError
from npgpt.tokenizer._byte_alphabet import ALPHABET
from npgpt.tokenizer._special import check_text

_LETTERS = frozenset(ALPHABET)
_SHOWN = 5  # of a list of bad tokens


def check_tokenizer(
    vocab: Mapping[str, int], merges: Iterable[tuple[str, str]], special_tokens: Mapping[str, int]
) -> None:
    """Raise TokenizerError, saying what is wrong, unless the three make a tokenizer.

    All ids together are 0 … n − 1, each once. Ordinary tokens are written in GPT-2's alphabet,
    which they hold whole. A merge joins two of them into a third, and none is listed twice.

    >>> check_tokenizer({"a": 0, "b": 0}, (), {})
    Traceback (most recent call last):
    npgpt.errors.TokenizerError: id 0 is given to both 'a' and 'b'; each token needs its own
    """
    _check_ids([*vocab.items(), *special_tokens.items()])
    if "" in vocab or not _LETTERS.issuperset("".join(vocab)):
        foreign = [token for token in vocab if not token or not _LETTERS.issuperset(token)]
        raise TokenizerError(
            f"not written in GPT-2's byte alphabet: {_some(foreign)}; is this a byte-level BPE?"
        )
    missing = [letter for letter in ALPHABET if letter not in vocab]
    if missing:
        raise TokenizerError(
            f"no token for the single bytes written {_some(missing)}; "
            "without all 256 there are texts that cannot be encoded"
        )
    for token in special_tokens:
        if not token or token in vocab:
            raise TokenizerError(
                f"special token {quoted(token)} is "
                f"{'an ordinary token too' if token else 'empty'}; it must be a text of its own"
            )
        check_text(token)
    _check_merges(vocab, merges)


def _check_ids(items: list[tuple[str, int]]) -> None:
    # Quick for a good vocabulary; what comes after finds out what is wrong with a bad one.
    ids = [id_ for _, id_ in items]
    if {*map(type, ids)} == {int} and sorted(ids) == [*range(len(ids))]:
        return
    owner: dict[int, str] = {}
    for token, id_ in items:
        if isinstance(id_, bool) or not isinstance(id_, int):
            raise TokenizerError(
                f"the id of {quoted(token)} is {brief(id_)}; ids are whole numbers"
            )
        if id_ in owner:
            raise TokenizerError(
                f"id {brief(id_)} is given to both {quoted(owner[id_])} and {quoted(token)}; "
                "each token needs its own"
            )
        owner[id_] = token
    outside = [id_ for id_ in owner if not 0 <= id_ < len(owner)]
    if outside:
        raise TokenizerError(
            f"{len(owner)} tokens have ids 0 to {len(owner) - 1}, but id {brief(outside[0])} "
            f"is given to {quoted(owner[outside[0]])}; a model has a row for every id, so none may "
            "be left out"
        )


def _check_merges(vocab: Mapping[str, int], merges: Iterable[tuple[str, str]]) -> None:
    pairs = list(merges)
    for left, right in pairs:
        if left not in vocab or right not in vocab or left + right not in vocab:
            unknown = [token for token in (left, right, left + right) if token not in vocab]
            raise TokenizerError(
                f"merge {quoted(left)} {quoted(right)} names {quoted(unknown[0])}, which "
                "the vocabulary lacks; do vocabulary and merges belong together?"
            )
    if len(set(pairs)) < len(pairs):
        ((left, right), times), *_ = Counter(pairs).most_common(1)
        raise TokenizerError(
            f"merge {quoted(left)} {quoted(right)} is listed {times} times; its rank must be one"
        )


def _some(tokens: list[str]) -> str:
    more = f" and {len(tokens) - _SHOWN} more" if len(tokens) > _SHOWN else ""
    return ", ".join(map(quoted, tokens[:_SHOWN])) + more
