import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.errors import TokenizerError
from npgpt.tokenizer._special import check_text, cut_special
from tests.helpers.text_strategies import texts

SPECIAL = {"<|endoftext|>": 0, "<a": 1, "<a>": 2, ".*": 3}
NAMES = {id_: token for token, id_ in SPECIAL.items()}

any_text = st.lists(st.one_of(texts, st.sampled_from(["<a", "<a>", ".*", ">"])), max_size=6).map(
    "".join
)


def cut_by_definition(text: str, allowed: set[str]) -> list[str | int]:
    """At each place take the longest allowed special token that begins there."""
    pieces: list[str | int] = [""]
    place = 0
    while place < len(text):
        found = [token for token in allowed if text.startswith(token, place)]
        if found:
            longest = max(found, key=len)
            pieces += [SPECIAL[longest], ""]
            place += len(longest)
        else:
            pieces[-1] = str(pieces[-1]) + text[place]
            place += 1
    return pieces


@given(any_text, st.sets(st.sampled_from(sorted(SPECIAL))))
def test_pieces_are_those_of_the_definition(text: str, allowed: set[str]) -> None:
    assert list(cut_special(text, SPECIAL, allowed)) == cut_by_definition(text, allowed)


@given(any_text)
def test_all_allows_all(text: str) -> None:
    assert list(cut_special(text, SPECIAL, "all")) == cut_by_definition(text, set(SPECIAL))


@pytest.mark.parametrize("allowed", ["<a", "", {"<b>"}, {"<a", "<b>"}])
def test_unknown_names_are_quoted(allowed: object) -> None:
    with pytest.raises(TokenizerError, match=r"allowed_special is .*; give 'all' or a set out of"):
        cut_special("", SPECIAL, allowed)  # type: ignore[arg-type]


@given(texts)
def test_all_unicode_text_is_taken(text: str) -> None:
    check_text(text)


@pytest.mark.parametrize("text", ["ab\ud800c", "ab\udfff", "ab\ude00\ud83d"])
def test_lone_surrogates_are_not(text: str) -> None:
    with pytest.raises(TokenizerError, match="at position 2 is a lone surrogate"):
        check_text(text)
