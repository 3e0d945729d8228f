"""`npgpt generate --explain`: each decision as a table, and as data with --json."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import npgpt
from npgpt.ops._softmax import softmax
from npgpt.tokenizer._pieces import piece
from tests.helpers.command_line import output

PROMPT = "Shall I"
DECODERS = {
    "greedy": ["--no-do-sample", "--suppress-tokens", "5 6"],
    "sampling": ["--top-k", "7", "--top-p", "0.9"],
    "beam search": ["--no-do-sample", "--num-beams", "3"],
    "beam sampling": ["--num-beams", "2"],
    "diverse beam search": ["--num-beams=4", "--num-beam-groups=2", "--diversity-penalty=0.5"],
    "constrained beam search": ["--num-beams=4", "--force-words-ids", "5 6"],
    "contrastive search": ["--penalty-alpha=0.6", "--top-k=4"],
    "speculative decoding": ["--prompt-lookup-num-tokens=2", "--no-do-sample"],
}
EACH = pytest.mark.parametrize(("name", "options"), DECODERS.items(), ids=DECODERS)


def explained(model: Path, *options: str) -> dict[str, Any]:
    argv = ["generate", "--model", model, PROMPT, "--max-new-tokens", 3, "--explain", *options]
    fields: dict[str, Any] = json.loads(output(*argv, "--json"))
    return fields


@EACH
def test_the_decisions_lead_to_the_text(model: Path, name: str, options: list[str]) -> None:
    fields = explained(model, *options)
    assert fields["decoder"] == name
    (sequence,) = fields["sequences"]
    ledger = fields["ledger"]
    assert [d["step"] for d in ledger] == sorted(d["step"] for d in ledger)
    for step, token in enumerate(sequence["new_tokens"]):
        assert token in [d["token"] for d in ledger if d["step"] == step]
    assert all(d["stages"][0]["stage"] == "model" for d in ledger)
    text = output("generate", "--model", model, PROMPT, "--max-new-tokens", 3, *options)
    assert text.rstrip("\n") == sequence["text"].rstrip("\n")


@EACH
def test_the_table_tells_the_same_and_ends_with_the_text(
    model: Path, name: str, options: list[str]
) -> None:
    argv = ["generate", "--model", model, PROMPT, "--max-new-tokens", 3, *options]
    lines = output(*argv, "--explain").splitlines()
    fields = explained(model, *options)
    assert lines[0] == f"decoder: {name}"
    chosen = [line for line in lines if line.startswith("-> ")]
    assert len(chosen) == len(fields["ledger"])
    for line, decision in zip(chosen, fields["ledger"], strict=True):
        assert line.startswith(f"-> {decision['piece']} (id {decision['token']})")
        if decision["uniform"] is not None:
            assert f"drawn with {decision['uniform']:.6f}" in line
    assert "\n".join(lines).endswith(fields["sequences"][0]["text"].rstrip("\n"))


def test_a_stage_counts_what_is_left_and_what_it_removed(model: Path) -> None:
    decision = explained(model, "--top-k", "7", "--suppress-tokens", "5 6")["ledger"][0]
    gpt = npgpt.load(model)
    (before, suppressed, cooler, top) = [
        stage for stage in decision["stages"] if stage["stage"] != "vocab_size"
    ]
    vocab = gpt.config.vocab_size
    names = ["model", "suppress_tokens", "temperature", "top_k"]
    assert [stage["stage"] for stage in (before, suppressed, cooler, top)] == names
    assert [stage["left"] for stage in (before, suppressed, cooler, top)] == [
        vocab, vocab - 2, vocab - 2, 7
    ]  # fmt: skip
    assert [stage["removed"] for stage in (before, suppressed, cooler, top)] == [
        0, 2, 0, vocab - 9
    ]  # fmt: skip
    asked = {"top_k": 7, "suppress_tokens": [5, 6], "max_new_tokens": 1, "output_ledger": True}
    found = gpt.generate(PROMPT, seed=0, **asked)
    assert found.ledger is not None
    stages = found.ledger.decisions[0].stages
    assert gpt.tokenizer is not None
    for shown in (before, suppressed, cooler, top):
        scores = stages[shown["stage"]]
        best = int(scores.argmax())
        assert shown["likeliest"][0] == {
            "token": best,
            "piece": piece(gpt.tokenizer, best),
            "score": float(scores[best]),
            "probability": float(softmax(scores.astype(np.float64))[best]),
        }
    assert len(top["likeliest"]) == 7


def test_ids_stand_for_pieces_without_a_tokenizer(bare_model: Path) -> None:
    argv = ["generate", "--model", bare_model, "--tokens", "5 6", "--max-new-tokens", 1]
    lines = output(*argv, "--explain", "--no-do-sample").splitlines()
    token = lines[-1].split()[-1]
    assert f"-> {token} (id {token}), ends: length" in lines
