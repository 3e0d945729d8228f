import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

import npgpt
from npgpt.tokenizer._files import load as load_tokenizer
from tests.helpers.command_line import output
from tests.helpers.real_data import gpt2_tokenizer


@settings(max_examples=50)
@given(st.text(min_size=1).filter(lambda text: text != "-"))
def test_there_and_back(model: Path, text: str) -> None:
    tokenizer = load_tokenizer(model)
    argv = ["tokenize", "--model", model]
    fields = json.loads(output(*argv, "--json", "--", text))
    ids = " ".join(map(str, fields["tokens"]))
    assert fields["tokens"] == tokenizer.encode(text)
    assert fields["text"] == text
    assert output(*argv, "--decode", ids) == text + "\n"
    assert json.loads(output(*argv, "--decode", ids, "--json")) == fields
    _, *lines, empty, count = output(*argv, "--", text).split("\n")[:-1]
    shown = [line.split(maxsplit=1) for line in lines]
    assert [int(id_) for id_, _ in shown] == fields["tokens"]
    parts = [eval(piece) for _, piece in shown]
    assert b"".join(p if isinstance(p, bytes) else p.encode() for p in parts).decode() == text
    assert all(piece.isprintable() for _, piece in shown)
    assert (empty, count) == ("", f"{len(fields['tokens'])} tokens")


def test_part_of_a_character_is_shown_as_bytes(model: Path) -> None:
    tokens = npgpt.load(model).tokenizer.encode("é")
    assert len(tokens) == 2
    fields = json.loads(output("tokenize", "--model", model, "--json", "é"))
    assert fields["pieces"] == ["\\xc3", "\\xa9"]
    _, first, second, *_ = output("tokenize", "--model", model, "é").splitlines()
    assert (first.split()[1], second.split()[1]) == ("b'\\xc3'", "b'\\xa9'")


def test_a_tokenizer_needs_no_model() -> None:
    argv = ["tokenize", "--model", gpt2_tokenizer(), "--json", "Hello world"]
    fields = json.loads(output(*argv))
    assert (fields["tokens"], fields["pieces"]) == ([15496, 995], ["Hello", " world"])


def test_a_file_of_the_folder_means_the_folder(model: Path) -> None:
    wanted = output("tokenize", "--model", model, "Shall")
    assert output("tokenize", "--model", model / "config.json", "Shall") == wanted
