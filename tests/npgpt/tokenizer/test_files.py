"""Files that hold a tokenizer, and files that do not."""

import json
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from npgpt.errors import TokenizerError
from npgpt.tokenizer._encoding import Tokenizer
from npgpt.tokenizer._files import load as load_tokenizer
from npgpt.tokenizer._files import save as save_tokenizer
from npgpt.tokenizer._training import train
from tests.helpers.real_data import gpt2_tokenizer
from tests.helpers.reference_tokenizers import byte_level, gpt2, gpt2_hugging_face_special
from tests.helpers.text_strategies import texts

TRAINED = train(["to be or not to be, that is the question"], vocab_size=270)
MORE = {"<pad>": TRAINED.vocab_size, "<tool é>": TRAINED.vocab_size + 1}
SPECIAL = Tokenizer(TRAINED.vocab, TRAINED.merges, {**TRAINED.special_tokens, **MORE})
FORMS = ["tokenizer.json", "vocab.json", "encoder.json"]
FILES = {
    "tokenizer.json": ["tokenizer.json"],
    "vocab.json": ["merges.txt", "vocab.json"],
    "encoder.json": ["encoder.json", "vocab.bpe"],
}


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tokenizer", [TRAINED, SPECIAL])
def test_what_is_saved_is_loaded(tmp_path: Path, form: str, tokenizer: Tokenizer) -> None:
    save_tokenizer(tokenizer, tmp_path / "new", forms=[form])
    assert load_tokenizer(tmp_path / "new") == tokenizer


@pytest.mark.parametrize("form", FORMS)
def test_each_form_has_its_files(tmp_path: Path, form: str) -> None:
    save_tokenizer(TRAINED, tmp_path, forms=[form])
    assert names(tmp_path) == FILES[form]


def test_by_default_hugging_faces_files_are_written(tmp_path: Path) -> None:
    save_tokenizer(TRAINED, tmp_path)
    assert names(tmp_path) == ["merges.txt", "tokenizer.json", "vocab.json"]


def test_an_unknown_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"forms is .*merges.txt.*; give some of"):
        save_tokenizer(TRAINED, tmp_path, forms=["merges.txt"])
    assert names(tmp_path) == []


def test_no_stale_special_tokens_are_left(tmp_path: Path) -> None:
    save_tokenizer(SPECIAL, tmp_path, forms=["vocab.json"])
    assert "added_tokens.json" in names(tmp_path)
    save_tokenizer(TRAINED, tmp_path, forms=["vocab.json"])
    assert load_tokenizer(tmp_path) == TRAINED


def test_an_added_token_may_be_in_the_vocabulary_too(tmp_path: Path) -> None:
    save_tokenizer(TRAINED, tmp_path, forms=["vocab.json"])
    vocab = {**TRAINED.vocab, **SPECIAL.special_tokens}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    (tmp_path / "added_tokens.json").write_text(json.dumps(SPECIAL.special_tokens))
    assert load_tokenizer(tmp_path) == SPECIAL


def test_gpt2_survives_a_round_trip(tmp_path: Path) -> None:
    for form in FORMS:
        save_tokenizer(gpt2(), tmp_path / form, forms=[form])
        assert load_tokenizer(tmp_path / form) == gpt2()


@given(texts, st.lists(texts, max_size=5), st.integers(257, 320))
def test_hugging_face_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, text: str, corpus: list[str], vocab_size: int
) -> None:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = train(corpus, vocab_size=vocab_size)
    save_tokenizer(tokenizer, folder)
    whole = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    pair = byte_level(folder / "vocab.json", folder / "merges.txt")
    assert whole.get_vocab_size() == tokenizer.vocab_size
    for seen_or_not in (text, *corpus):
        everywhere = tokenizer.encode(seen_or_not, allowed_special="all")
        assert whole.encode(seen_or_not).ids == everywhere
        assert pair.encode(seen_or_not).ids == tokenizer.encode(seen_or_not)
        assert whole.decode(everywhere, skip_special_tokens=False) == seen_or_not


def test_what_hugging_face_writes_is_loaded(tmp_path: Path) -> None:
    gpt2_hugging_face_special().save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(tmp_path) == gpt2()


def test_a_folder_without_tokenizer_files_has_no_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert load_tokenizer(tmp_path) is None
    assert load_tokenizer(tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("others", "first"),
    [(["vocab.json", "encoder.json"], "tokenizer.json"), (["encoder.json"], "vocab.json")],
)
def test_order_of_preference(tmp_path: Path, others: list[str], first: str) -> None:
    save_tokenizer(SPECIAL, tmp_path, forms=others)
    (tmp_path / "added_tokens.json").unlink()
    save_tokenizer(TRAINED, tmp_path, forms=[first])
    assert load_tokenizer(tmp_path) == TRAINED
    (tmp_path / first).write_text("")
    with pytest.raises(TokenizerError, match=first):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("present", ["vocab.json", "merges.txt", "encoder.json", "vocab.bpe"])
def test_half_a_pair_is_refused(tmp_path: Path, present: str) -> None:
    save_tokenizer(
        TRAINED,
        tmp_path,
        forms=["vocab.json" if present in FILES["vocab.json"] else "encoder.json"],
    )
    (other,) = (name for name in names(tmp_path) if name != present)
    (tmp_path / other).unlink()
    with pytest.raises(TokenizerError, match=f"{present}: {other} must be beside it"):
        load_tokenizer(tmp_path)


def test_merges_as_other_programs_write_them(tmp_path: Path) -> None:
    save_tokenizer(TRAINED, tmp_path, forms=["vocab.json"])
    merges = tmp_path / "merges.txt"
    lines = merges.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#version: 0.2"
    for ending in ("\n", "\r\n"):
        for first in (lines[0], "", "#version: 0.2 - Trained by `huggingface/tokenizers`"):
            merges.write_bytes(ending.join([first, *lines[1:], ""]).encode())
            assert load_tokenizer(tmp_path) == TRAINED


def test_merges_that_other_programs_leave_out(tmp_path: Path) -> None:
    save_tokenizer(TRAINED, tmp_path, forms=["vocab.json"])
    merges = tmp_path / "merges.txt"
    version, *pairs = merges.read_text(encoding="utf-8").splitlines()
    first, last, count = pairs[0], pairs[-1], 1 + len(pairs)
    unread = "which OpenAI's encoder and transformers leave out, and tokenizers does not"
    for ending in ("\n", "\r\n"):
        for lines, said in (
            ([*pairs, ""], f"line 1 is the merge {first!r}, {unread}; put a line '#version: 0.2'"),
            (
                [version, *pairs],
                f"line {count} is the merge {last!r} without a line break, {unread}",
            ),
            ([first], f"line 1 is the merge {first!r}"),
        ):
            merges.write_bytes(ending.join(lines).encode())
            with pytest.raises(TokenizerError) as caught:
                load_tokenizer(tmp_path)
            assert str(caught.value).startswith(f"{merges}: ")
            assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "#version: 0.2", "#version: 0.2\n", "\n"])
def test_no_merges_at_all(tmp_path: Path, text: str) -> None:
    plain = train([], vocab_size=257)
    assert plain.merges == ()
    save_tokenizer(plain, tmp_path, forms=["vocab.json"])
    (tmp_path / "merges.txt").write_text(text)
    assert load_tokenizer(tmp_path) == plain


def test_merges_of_number_signs_are_no_comments(tmp_path: Path) -> None:
    tokenizer = train(["## ##"], vocab_size=258)
    assert tokenizer.merges == (("#", "#"),)
    save_tokenizer(tokenizer, tmp_path, forms=["vocab.json"])
    assert load_tokenizer(tmp_path) == tokenizer


def test_gpt2s_own_vocabulary_file_is_read_as_it_is() -> None:
    raw = json.loads((gpt2_tokenizer() / "encoder.json").read_text(encoding="utf-8"))
    assert {**gpt2().vocab, **gpt2().special_tokens} == raw
