import pytest

from npgpt.errors import TokenizerError
from npgpt.tokenizer._byte_alphabet import ALPHABET
from npgpt.tokenizer._checks import check_tokenizer
from npgpt.tokenizer._encoding import Tokenizer

BYTES = {letter: index for index, letter in enumerate(ALPHABET)}
MERGES = (("a", "b"), ("ab", "c"))
VOCAB = {**BYTES, "ab": 256, "abc": 257}
SPECIAL = {"<|endoftext|>": 258}


def test_a_good_vocabulary_passes() -> None:
    check_tokenizer(VOCAB, MERGES, SPECIAL)


@pytest.mark.parametrize(
    ("vocab", "merges", "special", "reason"),
    [
        ({**VOCAB, "abc": 256}, MERGES, SPECIAL, "id 256 is given to both 'ab' and 'abc'"),
        (VOCAB, MERGES, {"<|endoftext|>": 0}, r"id 0 is given to both '!' and '<\|endoftext\|>'"),
        ({**VOCAB, "abc": 300}, MERGES, SPECIAL, "ids 0 to 258, but id 300 is given to 'abc'"),
        ({**VOCAB, "abc": -1}, MERGES, SPECIAL, "ids 0 to 258, but id -1 is given to 'abc'"),
        ({**VOCAB, "abc": "257"}, MERGES, SPECIAL, "id of 'abc' is '257'"),
        ({**VOCAB, "abc": 257.0}, MERGES, SPECIAL, "id of 'abc' is 257.0"),
        ({**VOCAB, "abc": True}, MERGES, SPECIAL, "id of 'abc' is True"),
        ({**VOCAB, "abc": None}, MERGES, SPECIAL, "id of 'abc' is None"),
        ({**VOCAB, "abc": []}, MERGES, SPECIAL, r"id of 'abc' is \[\]"),
        ({**VOCAB, "a b": 258}, MERGES, {}, "not written in GPT-2's byte alphabet: 'a b'"),
        ({**VOCAB, "": 258}, MERGES, {}, "not written in GPT-2's byte alphabet: ''"),
        ({"a": 0, "b": 1}, (), {}, "no token for the single bytes written '!', .* and 249 more"),
        (VOCAB, (*MERGES, ("b", "c")), SPECIAL, "merge 'b' 'c' names 'bc'"),
        (VOCAB, (*MERGES, ("a", "bc")), SPECIAL, "merge 'a' 'bc' names 'bc'"),
        (VOCAB, (*MERGES, ("", "a")), SPECIAL, "merge '' 'a' names ''"),
        (VOCAB, (*MERGES, ("a", "b")), SPECIAL, "merge 'a' 'b' is listed 2 times"),
        (VOCAB, MERGES, {"": 258}, "special token '' is empty"),
        (VOCAB, MERGES, {"abc": 258}, "special token 'abc' is an ordinary token too"),
        (VOCAB, MERGES, {"\ud800": 258}, "lone surrogate"),
    ],
)
def test_a_bad_one_is_refused_with_the_reason(
    vocab: dict[str, int],
    merges: tuple[tuple[str, str], ...],
    special: dict[str, int],
    reason: str,
) -> None:
    with pytest.raises(TokenizerError, match=reason):
        check_tokenizer(vocab, merges, special)
    with pytest.raises(TokenizerError, match=reason):
        Tokenizer(vocab, merges, special)
