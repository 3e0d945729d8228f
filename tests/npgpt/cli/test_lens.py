import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import npgpt
from npgpt._cli.output import WIDTH
from npgpt._gpt import GPT
from npgpt.audit._logit_lens import depths, lens_logits
from npgpt.audit._token_surprisal import rank
from npgpt.ops._softmax import softmax
from tests.helpers.command_line import output, run

TEXT = "Shall I compare thee"


@settings(max_examples=50)
@given(
    text=st.text(min_size=1, max_size=5),
    top=st.integers(1, 5),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_json_is_the_lens_of_each_residual_stream(
    model: Path, gpts: dict[str, GPT], text: str, top: int, dtype: str
) -> None:
    gpt = gpts[dtype]
    trace = gpt.trace(text)
    tokens = gpt.tokens(text)
    argv = ["lens", "--model", model, "--dtype", dtype, "--json", "--position", "all"]
    fields = json.loads(output(*argv, "--top", top, "--", text))
    assert fields["tokens"] == tokens[0].tolist()
    assert [each["position"] for each in fields["positions"]] == list(range(tokens.size))
    for number, (name, residual) in enumerate(depths(trace, gpt.config)):
        logits = lens_logits(residual, gpt.parameters, gpt.config)
        likely = softmax(logits.astype(np.float64))[0]
        ranks = rank(logits, tokens)[0].tolist()
        for at, one in enumerate(fields["positions"]):
            depth = one["depths"][number]
            order = np.argsort(-logits[0, at], kind="stable")[:top]
            assert depth["depth"] == name
            assert depth["tokens"] == order.tolist()
            assert depth["probabilities"] == likely[at, order].tolist()
            following = None if at + 1 == tokens.size else tokens[0, at + 1]
            assert one["next_token"] == following
            assert depth["next_rank"] == (None if following is None else ranks[at])
            assert depth["next_probability"] == (
                None if following is None else likely[at, following]
            )


def test_the_last_depth_is_the_model_and_settled_is_where_its_answer_stays(model: Path) -> None:
    gpt = npgpt.load(model)
    for position in range(gpt.tokens(TEXT).size):
        argv = ["lens", "--model", model, "--json", "--top", "1", "--position", position, TEXT]
        (one,) = json.loads(output(*argv))["positions"]
        answers = [each["tokens"][0] for each in one["depths"]]
        assert answers[-1] == gpt.logits(TEXT)[0, position].argmax()
        names = [each["depth"] for each in one["depths"]]
        first = names.index(one["settled_at"])
        assert set(answers[first:]) == {answers[-1]}
        assert first == 0 or answers[first - 1] != answers[-1]


def test_a_position_counts_from_the_end_below_0_and_is_the_last_by_default(model: Path) -> None:
    count = npgpt.load(model).tokens(TEXT).size
    argv = ["lens", "--model", model, TEXT]
    assert output(*argv) == output(*argv, "--position", "-1")
    assert output(*argv) == output(*argv, "--position", count - 1)
    assert output(*argv, "--position", -count) == output(*argv, "--position", "0")


def test_the_table_has_a_line_for_each_depth(model: Path) -> None:
    first, head, *lines = output("lens", "--model", model, "--position", "0", TEXT).splitlines()
    assert first.startswith("after position 0, ")
    assert head.split() == ["depth", "1", "2", "3", "4", "next", "rank"]
    depths = ["resid_pre 0", "resid_pre 1", "resid_post 1"]
    assert [" ".join(line.split()[:2]) for line in lines[:3]] == depths
    (one,) = json.loads(output("lens", "--model", model, "--position", "0", TEXT, "--json"))[
        "positions"
    ]
    for line, depth in zip(lines[:3], one["depths"], strict=True):
        assert line.split()[-2:] == [f"{depth['next_probability']:.3f}", str(depth["next_rank"])]
        assert f"{depth['probabilities'][0]:.3f}" in line


def test_no_line_is_wider_than_a_terminal(model: Path) -> None:
    for position in ("-1", "0", "all"):
        lines = output("lens", "--model", model, "--position", position, TEXT * 2).splitlines()
        assert max(map(len, lines)) <= WIDTH


def test_of_nan_nothing_is_the_likeliest(nan_model: Path) -> None:
    ran = run("lens", "--model", nan_model, "--json", "--position", "0", TEXT)
    (one,) = json.loads(ran.out)["positions"]
    assert one["settled_at"] is None
    for depth in one["depths"]:
        assert (depth["tokens"], depth["probabilities"]) == ([], [])
        assert (depth["next_rank"], depth["next_probability"]) == (None, None)
    for position in ("0", "-1", "all"):
        ran = run("lens", "--model", nan_model, "--position", position, TEXT)
        assert ran.code == 0
        assert "nan" in ran.out


def test_of_a_few_tokens_all_are_listed(two_tokens: Path) -> None:
    (one,) = json.loads(output("lens", "--model", two_tokens, "--tokens", "0", "--json"))[
        "positions"
    ]
    assert {len(each["tokens"]) for each in one["depths"]} == {2}
    assert output("lens", "--model", two_tokens, "--tokens", "0")


def test_what_a_rank_counts_from_is_said(model: Path) -> None:
    for position in ("0", "all"):
        text = output("lens", "--model", model, "--position", position, TEXT)
        assert "next token" in text
        assert "rank 0 is the likeliest" in text


@pytest.mark.parametrize("position", ["0", "all"])
def test_without_a_tokenizer_tokens_are_ids(bare_model: Path, position: str) -> None:
    argv = ["lens", "--model", bare_model, "--tokens", "40 41", "--position", position]
    assert " 40 " in f" {' '.join(output(*argv).split())} ".replace(",", " ")
    fields = json.loads(output(*argv, "--json"))
    assert fields["pieces"] is None
    assert fields["positions"][0]["piece"] is None
    assert fields["positions"][0]["depths"][0]["pieces"] is None
