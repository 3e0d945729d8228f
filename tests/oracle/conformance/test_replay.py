"""What is saved of a failure replays it: against what was wrong, and against what is right."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import oracle
from oracle.adapters import pytorch
from oracle.adapters.guard import RAISED, Misbehaviour, guarded
from oracle.conformance._catalogue import named
from oracle.conformance._check import MATCH, MISMATCH, Finding
from oracle.conformance._judge import Judgement
from oracle.conformance._outcome import RIGHT, WRONG, Outcome, Seen, run
from oracle.conformance._replay import save_failures
from tests.helpers.patience import NEVER

RIGHT_ONE = """
from oracle.adapters import pytorch
logits, step = pytorch.subject().logits, pytorch.subject().step
"""
WRONG_ONE = """
from oracle.adapters import pytorch
def logits(*arguments):
    return pytorch.subject().logits(*arguments) * 1.01
def step(*arguments):
    found, cache = pytorch.subject().step(*arguments)
    return found * 1.01, cache
"""
ANSWERS_ANYTHING = """
import numpy as np
def logits(config, weights, tokens, mask):
    return np.zeros((*tokens.shape, config["vocab_size"]))
"""
NOT_LOGITS = """
def logits(*arguments):
    return [0.0]
"""


def scaled(factor):
    clean = pytorch.subject()

    def step(*arguments):
        found, cache = clean.step(*arguments)
        return found * np.float32(factor), cache

    return guarded(
        replace(clean, logits=lambda *a: clean.logits(*a) * np.float32(factor), step=step)
    )


def judged(subject, *names, count=5):
    outcomes = [run(check, subject, count=count, shrink=False) for check in named(*names)]
    assert all(outcome.worst for outcome in outcomes)
    return Judgement(subject, tuple(outcomes))


def replayed(script, mine):
    """The exit code and all that it says, with `mine` as the module my_gpt2."""
    (script.parent / "my_gpt2.py").write_text(mine, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(Path(oracle.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment, timeout=NEVER
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "deep" / "failures"
    judgement = judged(scaled(1.01), "model/logits", "cache/in pieces")
    return judgement, save_failures(judgement, folder)


def test_a_file_and_a_script_for_each_check(failures):
    _, paths = failures
    names = ["model-logits", "cache-in-pieces"]
    expected = [f"{name}.{ending}" for name in names for ending in ("safetensors", "py")]
    assert [path.name for path in paths] == expected
    assert all(path.is_file() for path in paths)


@pytest.mark.parametrize("place", [1, 3])
def test_the_script_tells_right_from_wrong(failures, place):
    script = failures[1][place]
    code, says = replayed(script, WRONG_ONE)
    assert (code, "times what rounding may do" in says) == (1, True), says
    code, says = replayed(script, RIGHT_ONE)
    assert (code, "times what rounding may do" in says) == (0, True), says


def test_the_script_refuses_other_shapes(failures):
    code, says = replayed(failures[1][1], NOT_LOGITS)
    assert (code, "shape (1,) in place of" in says) == (1, True), says


def test_the_file_holds_the_whole_failure(failures):
    judgement, paths = failures
    worst = judgement.outcomes[1].worst
    whole = worst.example.whole
    with safe_open(paths[2], "np") as file:
        about = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert json.loads(about["config"]) == whole.config
    assert about["check"] == "cache/in pieces"
    assert about["says"] == judgement.outcomes[1].says
    assert arrays["chunks"].tolist() == list(worst.example.chunks)
    assert arrays["answer"].tobytes() == worst.answer.tobytes()
    assert arrays["reference"].dtype == np.float64
    for name, array in whole.weights.items():
        assert arrays[f"weights.{name}"].tobytes() == array.tobytes()
        assert arrays[f"weights.{name}"].shape == array.shape


def test_what_has_to_be_refused(tmp_path):
    subject = guarded(
        replace(pytorch.subject(), logits=lambda c, w, t, m: np.zeros((*t.shape, c["vocab_size"])))
    )
    _, script = save_failures(judged(subject, "model/refusals"), tmp_path)
    code, says = replayed(script, ANSWERS_ANYTHING)
    assert (code, "it has to be refused" in says) == (1, True), says
    code, says = replayed(script, RIGHT_ONE)
    assert (code, "now it is refused" in says) == (0, True), says


def test_a_misbehaviour_is_written_as_its_text(tmp_path):
    def raising(*arguments):
        raise RuntimeError("no \ud800 kernel")

    subject = guarded(replace(pytorch.subject(), logits=raising))
    path, _ = save_failures(judged(subject, "model/logits"), tmp_path)
    with safe_open(path, "np") as file:
        assert "answer" not in file.keys()  # noqa: SIM118
        assert "RuntimeError: no " in file.metadata()["answer"]


def test_an_op_is_written_as_json(tmp_path):
    clean = pytorch.subject()
    subject = guarded(replace(clean, ops={"relu": lambda x: x + np.inf}))
    (path,) = save_failures(judged(subject, "ops/relu"), tmp_path)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert path.name == "ops-relu.json"
    assert found["error"] == "inf"
    assert set(np.ravel(found["answer"])) == {"inf"}
    assert np.array(found["example"]["arrays"]["x"]).shape == np.array(found["answer"]).shape


@dataclass(frozen=True)
class Odd:
    values: list = field(default_factory=lambda: [np.float32(0.5), {1}, {"k": b"\xff"}, "\ud800"])


def odd_outcome(name, verdict=WRONG):
    (check,) = named("tokenizer/encode") or named("ops/relu")
    finding = Finding(MISMATCH, 2.0, "says") if verdict == WRONG else Finding(MATCH)
    seen = Seen(Odd(), Misbehaviour(RAISED, "it raised"), finding)
    return Outcome(replace(check, name=name), verdict, (seen,), seen if verdict == WRONG else None)


def test_odd_names_and_odd_examples(tmp_path):
    names = ("a/b c", "a/b-c", "../../up", "Ünï/\x00", "", "a/" + "x" * 500, "con/../")
    outcomes = [odd_outcome(name) for name in names]
    paths = save_failures(Judgement(pytorch.subject(), tuple(outcomes)), tmp_path)
    assert len({path.name.lower() for path in paths}) == len(names)
    assert {path.parent for path in paths} == {tmp_path}
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    found = json.loads(paths[0].read_text(encoding="utf-8"))
    assert found["answer"] == "it raised"
    assert found["example"] == {"values": [0.5, "{1}", {"k": "b'\\xff'"}, "\ud800"]}


def test_what_is_right_leaves_nothing(tmp_path):
    judgement = Judgement(pytorch.subject(), (odd_outcome("a/b", RIGHT),))
    assert save_failures(judgement, tmp_path / "made") == []
    assert list((tmp_path / "made").iterdir()) == []


def test_files_are_replaced_whole(tmp_path, monkeypatch):
    judgement = Judgement(pytorch.subject(), (odd_outcome("a/b"),))
    (path,) = save_failures(judgement, tmp_path)
    before = path.read_bytes()

    def full(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        save_failures(judgement, tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
