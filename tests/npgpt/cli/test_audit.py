"""`npgpt audit`: the summary, the data, the page, figures, saved traces."""

import contextlib
import dataclasses
import io
import json
import math
import re
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import npgpt
from npgpt._cli.program import main
from npgpt.audit.report import _figures as figures
from npgpt.checkpoints._safetensors import read_safetensors
from npgpt.checkpoints._saving import save
from npgpt.ops._softmax import log_softmax
from tests.helpers.command_line import output, run
from tests.helpers.small_gpt import CONFIG, TOKENIZER, parameters

PROMPT = "Shall I shall I"


def audit(model: Path, *options: object) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(output("audit", "--model", model, "--json", *options))
    return facts


def test_json_tells_what_the_model_says(model: Path) -> None:
    facts = audit(model, PROMPT)
    gpt = npgpt.load(model)
    ids = gpt.tokens(PROMPT)[0]
    assert facts["prompt"] == PROMPT
    assert [token["id"] for token in facts["tokens"]] == ids.tolist()
    assert facts["tokens"][0]["nats"] is None
    logits = gpt.logits(PROMPT)[0]
    told = log_softmax(logits.astype(np.float64))
    nats = [-told[i, token] for i, token in enumerate(ids[1:])]
    assert [token["nats"] for token in facts["tokens"][1:]] == nats
    assert facts["next"][0]["id"] == np.argmax(logits[-1])
    assert [row["depth"] for row in facts["logit_lens"]] == [
        "resid_pre 0", "resid_pre 1", "resid_post 1",
    ]  # fmt: skip
    final = [likely[0]["id"] for likely in facts["logit_lens"][-1]["positions"]]
    assert final == np.argmax(logits, axis=-1).tolist()
    assert facts["attribution"]["logit"][-1] == float(logits[-1].max())
    assert facts["verified"]["ok"]
    assert facts["verified"]["same_logits"]
    assert facts["non_finite"] == []


def test_rank_and_probability_are_of_the_token_that_came(model: Path) -> None:
    for token in audit(model, PROMPT)["tokens"][1:]:
        expected = math.exp(-token["nats"])
        # Each of two exponential functions may be off by one unit in the last place.
        assert abs(token["probability"] - expected) <= 2 * math.ulp(expected)
        ids = [one["id"] for one in token["likeliest"]]
        assert token["rank"] == ids.index(token["id"]) if token["id"] in ids else token["rank"] > 4


def test_decisions_are_those_of_generate(model: Path) -> None:
    settings = ["--seed", 3, "--top-k", 4, "--max-new-tokens", 3]
    found = audit(model, PROMPT, *settings)["decisions"]
    argv = ["generate", "--model", model, PROMPT, "--json", "--explain", *settings]
    wanted = json.loads(output(*argv))
    assert [d["token"] for d in found["ledger"]] == wanted["sequences"][0]["new_tokens"]
    assert found["text"] == wanted["sequences"][0]["text"]
    for decision, ledger in zip(found["ledger"], wanted["ledger"], strict=True):
        for stage, known in zip(decision["stages"], ledger["stages"], strict=True):
            assert (stage["left"], stage["removed"]) == (known["left"], known["removed"])
        *_, before, last = decision["stages"]
        left = {token["id"] for token in last["likeliest"]}
        # What top_k took away, likelier first, stands below what it left.
        assert len(left) == 4
        assert before["likeliest"][4]["id"] == last["likeliest_removed"][0]["id"]
        assert not left & {token["id"] for token in last["likeliest_removed"]}


def test_the_summary_tells_the_same(model: Path) -> None:
    facts, lines = audit(model, PROMPT), output("audit", "--model", model, PROMPT).splitlines()
    for token in facts["tokens"][1:]:
        start = [f"{token['nats']:.2f}", str(token["rank"])]
        assert any(line.split()[:2] == start and repr(token["text"]) in line for line in lines)
    assert any(line.startswith("verified: ") for line in lines)
    assert "logits with and without recording: the same bits" in lines
    for kind in facts["striking"].values():
        for head in kind:
            named = f"head {head['layer']}.{head['head']} {head['value']:.3f}"
            assert any(named in line for line in lines)


@pytest.mark.parametrize("text", ["S", "SSSSSSSS"])
def test_short_texts_of_one_token_over_and_over(model: Path, text: str) -> None:
    facts = audit(model, text)
    assert (facts["mean_nats"] is None) == (len(facts["tokens"]) == 1)
    assert facts["striking"]["induction"] == [] or len(facts["tokens"]) > 2
    assert output("audit", "--model", model, text)


def test_a_text_that_fills_the_context(model: Path) -> None:
    ids = " ".join(["65"] * npgpt.load(model).config.n_positions)
    facts = audit(model, "--tokens", ids)
    assert facts["decisions"] is None
    assert facts["no_decisions"] in output("audit", "--model", model, "--tokens", ids)


def test_a_model_without_tokenizer_names_tokens_by_id(bare_model: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    argv = ["audit", "--model", bare_model, "--tokens", "3 1 3 1", "--json", "--html", page]
    facts = json.loads(output(*argv))
    assert [token["text"] for token in facts["tokens"]] == ["3", "1", "3", "1"]
    assert '"prompt":"3 1 3 1"' in page.read_text()


def test_a_model_with_nan_is_not_verified_and_it_says_where_it_is(nan_model: Path) -> None:
    page, figures_folder = nan_model / "page.html", nan_model / "figures"
    ran = run("audit", "--model", nan_model, PROMPT, "--html", page, "--png", figures_folder)
    assert ran.code == 1
    assert ran.err.count("\n") == 1  # the warning of the checkpoint
    for line in ("NOT VERIFIED: ", "weights that are NaN or infinite: 1 in ln_f.bias\n",
                 "There is no decision: ", "in ln_f, "):  # fmt: skip
        assert line in ran.out
    assert '"ratio":null' in page.read_text()


def test_a_saved_trace_is_verified(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "trace"
    said = output("audit", "--model", model, "--save", folder, PROMPT)
    assert said.endswith(f"wrote {folder}\n")
    argv = ["audit", "--model", model, "--verify", folder]
    assert output(*argv).startswith("verified: ")
    assert json.loads(output(*argv, "--json"))["verified"]["ok"]


def test_a_trace_that_was_changed_is_wrong_there(model: Path, tmp_path: Path) -> None:
    output("audit", "--model", model, "--save", tmp_path, PROMPT)
    (file,) = tmp_path.glob("*.safetensors")
    data = bytearray(file.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    start, _ = json.loads(data[8 : 8 + length])["mlp_out.1"]["data_offsets"]
    data[8 + length + start + 3] ^= 0x80  # the sign of the first number
    file.write_bytes(data)
    ran = run("audit", "--model", model, "--verify", tmp_path)
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.startswith("NOT VERIFIED: ")
    argv = ["audit", "--model", model, "--verify", tmp_path, "--json"]
    each = json.loads(run(*argv).out)["verified"]["arrays"]
    wrong = {(e["name"], e["layer"]) for e in each if e["ratio"] is None or e["ratio"] > 1}
    assert wrong == {("mlp_out", 1), ("resid_post", 1)}
    assert "mlp_out.1" in read_safetensors(file)


@pytest.mark.parametrize(
    "other",
    [
        ["x"],
        ["--save", "y"],
        ["--html", "z"],
        ["--tokens", "1 2"],
        ["--seed", "0"],
        ["--top-k", "3"],
    ],
)
def test_verify_goes_alone(model: Path, other: list[str]) -> None:
    ran = run("audit", "--model", model, "--verify", "folder", *other)
    assert (ran.code, ran.out) == (2, "")
    assert "--verify goes alone" in ran.err


def test_ids_that_the_tokenizer_lacks_are_called_by_their_number(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, vocab_size=CONFIG.vocab_size + 40)
    save(tmp_path, config, parameters(config), TOKENIZER)
    ids = f"{config.vocab_size - 1} 5"
    for asked in ([PROMPT], ["--tokens", ids]):
        facts = audit(tmp_path, *asked)
        lens = [one for row in facts["logit_lens"] for at in row["positions"] for one in at]
        unknown = [one for one in [*facts["tokens"], *lens] if one["id"] >= CONFIG.vocab_size]
        assert unknown
        assert all(one["text"] == f"id {one['id']}" for one in unknown)
    assert facts["prompt"] == ids
    assert f"token id {config.vocab_size - 1}" in facts["no_decisions"]


def test_infinite_weights_are_told_without_a_warning(tmp_path: Path) -> None:
    sound = parameters(CONFIG)
    first = sound.h[0].ln_1
    bias = np.where(np.arange(CONFIG.n_embd) == 3, np.inf, first.bias)
    block = dataclasses.replace(sound.h[0], ln_1=dataclasses.replace(first, bias=bias))
    save(tmp_path, CONFIG, dataclasses.replace(sound, h=(block, *sound.h[1:])), TOKENIZER)
    trace, drawn = tmp_path / "trace", tmp_path / "figures"
    ran = run("audit", "--model", tmp_path, PROMPT, "--save", trace, "--png", drawn)
    assert ran.code == 1
    assert ran.err.count("\n") == 1  # the warning of the checkpoint
    assert run("audit", "--model", tmp_path, "--verify", trace).code == 1


def test_no_option_is_named_that_is_not_there() -> None:
    told = io.StringIO()
    with pytest.raises(SystemExit), contextlib.redirect_stdout(told):
        main(["audit", "--help"])
    text = told.getvalue()
    there = set(re.findall(r"^  (?:-h, )?(--[a-z-]+)", text, re.M))
    assert set(re.findall(r"--[a-z-]+", text)) - there == {"--no-do-sample"}


def test_a_place_for_the_page_is_looked_at_before_the_model(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "no" / "page.html"):
        ran = run("audit", "--model", tmp_path / "no model", "--html", place, PROMPT)
        assert (ran.code, ran.out) == (2, "")
        assert f"--html {place} is " in ran.err


def test_a_page_that_cannot_be_finished_leaves_the_old_one(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    page.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    ran = run("audit", "--model", model, "--html", page, PROMPT)
    assert (ran.code, ran.out) == (2, "")
    assert f"{page}: cannot be written (No space left on device)" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert page.read_text() == "old"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_device_is_written_to_and_stays(model: Path) -> None:
    assert output("audit", "--model", model, "--html", "/dev/null", PROMPT)
    assert not Path("/dev/null").is_file()
    if Path("/dev/full").exists():
        ran = run("audit", "--model", model, "--html", "/dev/full", PROMPT)
        assert (ran.code, ran.out) == (2, "")
        assert "/dev/full: cannot be written" in ran.err


@pytest.mark.parametrize("option", ["--html", "--png", "--save"])
def test_a_place_that_cannot_be_written_is_named(model: Path, tmp_path: Path, option: str) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "place"
    ran = run("audit", "--model", model, option, place, PROMPT)
    assert (ran.code, ran.out) == (2, "")
    assert str(tmp_path / "file") in ran.err
    assert ran.err.count("\n") == 1


def test_figures_are_pictures(model: Path, tmp_path: Path) -> None:
    said = output("audit", "--model", model, "--png", tmp_path / "figures", f"{PROMPT} $x_1$ 漢\n")
    for name in figures.FILES:
        path = tmp_path / "figures" / name
        assert f"wrote {path}\n" in said
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        assert len(data) > 5_000


def test_figures_of_one_token(model: Path, tmp_path: Path) -> None:
    assert output("audit", "--model", model, "--png", tmp_path, "S")


def test_without_matplotlib_it_says_how_to_get_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ran = run("audit", "--model", model, "--png", tmp_path / "figures", PROMPT)
    assert (ran.code, ran.out) == (2, "")
    assert "pip install matplotlib" in ran.err
    assert not (tmp_path / "figures").exists()


def test_the_page_is_written_the_same_each_time(model: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "1.html", tmp_path / "2.html"
    for page in (one, other):
        output("audit", "--model", model, "--html", page, PROMPT)
    assert one.read_bytes() == other.read_bytes()
    shutil.rmtree(tmp_path)
