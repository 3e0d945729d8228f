import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import npgpt
from tests.helpers.command_line import output, run

TEXT = "Shall I compare thee to a summer's day?"


@settings(max_examples=50)
@given(
    text=st.text(min_size=2, max_size=30),
    stride=st.none() | st.integers(1, 48),
    add_bos=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_json_is_what_the_library_gives(
    model: Path, text: str, stride: int | None, add_bos: bool, dtype: str
) -> None:
    found = npgpt.load(model, dtype=dtype).score(text, stride=stride, add_bos=add_bos)
    argv = ["score", "--model", model, "--json", "--dtype", dtype]
    argv += ["--add-bos"] if add_bos else []
    argv += ["--stride", stride] if stride else []
    fields = json.loads(output(*argv, "--", text))
    logprobs = [value if np.isfinite(value) else None for value in found.log_probabilities.tolist()]
    assert fields["tokens"] == found.tokens
    assert fields["logprobs"] == logprobs
    assert fields["scored"] == len(found.tokens) - (not add_bos)
    assert fields["total"] == found.total
    assert fields["perplexity"] == found.perplexity
    assert fields["window"] == 48
    assert fields["stride"] == (stride or 24)


def test_the_table_has_a_line_for_each_token_and_the_totals(model: Path) -> None:
    found = npgpt.load(model).score(TEXT)
    head, *lines = output("score", "--model", model, TEXT).splitlines()
    assert head.split() == ["id", "log", "p", "token"]
    table, totals = lines[: len(found.tokens)], lines[len(found.tokens) :]
    shown = [line.split(maxsplit=2) for line in table]
    assert [int(id_) for id_, _, _ in shown] == found.tokens
    values = [f"{value:.4f}" for value in found.log_probabilities[1:]]
    assert [value for _, value, _ in shown] == ["-", *values]
    assert "".join(eval(piece) for _, _, piece in shown) == TEXT
    assert totals == [
        "",
        f"{len(values)} of {len(found.tokens)} tokens scored, in windows of at most 48 tokens "
        "that advance by 24",
        f"log-probability {found.total:.4f} (natural logarithm)",
        f"perplexity {found.perplexity:.4f}",
    ]


def test_the_first_token_is_scored_after_a_beginning(model: Path) -> None:
    lines = output("score", "--model", model, "--add-bos", TEXT).splitlines()
    assert not any(line.split()[1:2] == ["-"] for line in lines)


def test_a_file_and_ids_give_the_same(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text(TEXT, encoding="utf-8", newline="")
    ids = npgpt.load(model).tokenizer.encode(TEXT)
    argv = ["score", "--model", model, "--json"]
    wanted = output(*argv, TEXT)
    assert output(*argv, "--file", file) == wanted
    assert output(*argv, "--tokens", " ".join(map(str, ids))) == wanted


def test_a_model_without_tokenizer_scores_ids(bare_model: Path) -> None:
    argv = ["score", "--model", bare_model, "--tokens", "5 6 7"]
    found = npgpt.load(bare_model).score([5, 6, 7])
    fields = json.loads(output(*argv, "--json"))
    assert (fields["tokens"], fields["pieces"]) == ([5, 6, 7], None)
    assert fields["total"] == found.total
    assert output(*argv).splitlines()[1].split() == ["5", "-"]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_nan_is_never_a_score(nan_model: Path, form: list[str]) -> None:
    ran = run("score", "--model", nan_model, TEXT, *form)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[1].startswith("npgpt: ")


def test_a_perplexity_past_every_float_is_infinite(sharp_model: Path) -> None:
    argv = ["score", "--model", sharp_model, TEXT]
    assert output(*argv).endswith("perplexity inf\n")
    fields = json.loads(output(*argv, "--json"))
    assert (fields["perplexity"], fields["total"] < 0) == (None, True)
