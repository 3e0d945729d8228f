"""What is saved of a failure replays it: against what was wrong, and against what is right."""

import ast
import json
import os
import runpy
import subprocess
import sys
import types
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from safetensors import safe_open

from oracle.adapters import pytorch
from oracle.adapters.guard import RAISED, Misbehaviour, guarded
from oracle.adapters.subject import FUNCTIONS
from oracle.conformance import checks_at
from oracle.conformance._catalogue import named
from oracle.conformance._check import MATCH, MISMATCH, Finding
from oracle.conformance._explore import collect
from oracle.conformance._judge import Judgement
from oracle.conformance._outcome import RIGHT, WRONG, Outcome, Seen, ask, run
from oracle.conformance._replay import save_failures
from tests.helpers.patience import NEVER

CLEAN = pytorch.subject()


def scaled(factor):
    def step(*arguments):
        logits, cache = CLEAN.step(*arguments)
        return logits * np.float32(factor), cache

    return guarded(
        replace(CLEAN, logits=lambda *a: CLEAN.logits(*a) * np.float32(factor), step=step)
    )


def judged(subject, *names, count=5):
    outcomes = [run(check, subject, count=count, shrink=False) for check in named(*names)]
    assert all(outcome.worst for outcome in outcomes)
    return Judgement(subject, tuple(outcomes))


def as_module(subject, function=lambda function: function):
    """The subject as the module my_gpt2, each of its functions changed by `function`."""
    module = types.ModuleType("my_gpt2")
    offered = {name: getattr(subject, name) for name in FUNCTIONS if getattr(subject, name)}
    for name, original in (offered | dict(subject.ops)).items():
        setattr(module, name, function(original))
    return module


def replayed(script, module, monkeypatch, capsys):
    """Whether the script finds `module` right, and all that it says."""
    monkeypatch.setitem(sys.modules, "my_gpt2", module)
    try:
        runpy.run_path(str(script))
        code = 0
    except SystemExit as end:
        code = end.code or 0
    says = capsys.readouterr().out
    return (code == 0, says if isinstance(code, int) else f"{says}{code}")


def as_if_wrong(check, subject):
    """An outcome of one example, with the right answer as the wrong one."""
    (example,) = collect(check.examples(subject), 1)
    worst = Seen(example, ask(check, subject, example), Finding(MISMATCH, 2.0, "says"))
    return Outcome(check, WRONG, (worst,), worst)


def broken(function):
    """The function, whose answers are others: numbers too large, a token or a letter too many."""

    def call(*arguments, **keywords):
        answer = function(*arguments, **keywords)
        if isinstance(answer, tuple) and len(answer) == 2 and not isinstance(answer[0], int):
            return answer[0] * 1.5 + 1, answer[1]
        if isinstance(answer, str):
            return answer + "?"
        if isinstance(answer, float) or hasattr(answer, "dtype"):
            return np.asarray(answer) * 1.5 + 1
        if answer and not isinstance(answer[0], int):
            return [[*row, 0] for row in answer]
        return [*answer, 0]

    return call


def drifting(function):
    """The function, whose answers grow with each call."""
    calls = []

    def call(*arguments, **keywords):
        calls.append(1)
        return np.asarray(function(*arguments, **keywords)) + len(calls)

    return call


WITH_SCRIPTS = [check for check in checks_at("toy") if check.examples(CLEAN) is not None]


@pytest.mark.parametrize("check", WITH_SCRIPTS, ids=lambda check: check.name)
def test_every_kind_of_example_is_replayed_alone(check, tmp_path, monkeypatch, capsys):
    judgement = Judgement(CLEAN, (as_if_wrong(check, CLEAN),))
    data, script = save_failures(judgement, tmp_path)
    assert (data.suffix, script.suffix) == (".safetensors", ".py")
    right, says = replayed(script, as_module(CLEAN), monkeypatch, capsys)
    refusal = check.name == "model/refusals"
    assert right, says
    assert says.startswith(f"{CLEAN.name}: {check.name}: says\n")
    wrong = drifting if check.name.startswith("model/repeatable") else broken
    if refusal:
        answers_anything = as_module(replace(CLEAN, logits=lambda c, w, t, m: np.zeros(t.shape)))
        right, says = replayed(script, answers_anything, monkeypatch, capsys)
        assert (right, "it has to be refused" in says) == (False, True)
    else:
        right, says = replayed(script, as_module(CLEAN, wrong), monkeypatch, capsys)
        assert not right, says


def test_of_many_sizes_the_one_that_is_wrong_is_replayed(tmp_path, monkeypatch, capsys):
    def broken_from_513(x):
        return np.where(np.arange(x.shape[-1]) > 512, 0, x * (x > 0)).astype(x.dtype)

    subject = guarded(replace(CLEAN, ops={"relu": broken_from_513}))
    data, script = save_failures(judged(subject, "ops/relu-wide", count=1), tmp_path)
    with safe_open(data, "np") as file:
        assert file.get_tensor("arguments.x").shape[-1] > 513
        assert file.get_tensor("answer").shape == file.get_tensor("reference").shape
    right, says = replayed(script, as_module(CLEAN), monkeypatch, capsys)
    assert right, says
    right, says = replayed(script, as_module(subject), monkeypatch, capsys)
    assert not right, says


def test_a_script_needs_numpy_and_the_standard_library():
    from oracle.conformance import _replay_scripts as scripts

    bodies = [v for n, v in vars(scripts).items() if n.isupper() and not n.startswith("_")]
    imported = set()
    for body in filter(lambda body: isinstance(body, str), bodies):
        text = scripts.script(body, "decode", literals={"SETTINGS": {}, "GIVEN": []})
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module)
    assert imported == {"json", "pathlib", "sys", "numpy", "my_gpt2"}


def test_a_script_runs_as_a_program(tmp_path):
    def relu(x):
        return np.abs(x)

    subject = guarded(replace(CLEAN, ops={"relu": relu}))
    _, script = save_failures(judged(subject, "ops/relu"), tmp_path)

    def replay(mine):
        (tmp_path / "my_gpt2.py").write_text(mine, encoding="utf-8")
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        command = [sys.executable, script.name]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=NEVER
        )

    wrong = replay("relu = abs\n")
    assert (wrong.returncode, "times what rounding may do" in wrong.stdout) == (1, True)
    right = replay("def relu(x):\n    return x * (x > 0)\n")
    assert (right.returncode, right.stderr) == (0, "")
    assert right.stdout.endswith("now the largest error is 0 times what rounding may do\n")


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
def test_the_script_tells_right_from_wrong(failures, place, monkeypatch, capsys):
    script = failures[1][place]
    right, says = replayed(script, as_module(scaled(1.01)), monkeypatch, capsys)
    assert (right, "times what rounding may do" in says) == (False, True), says
    right, says = replayed(script, as_module(CLEAN), monkeypatch, capsys)
    assert (right, "times what rounding may do" in says) == (True, True), says


def test_the_script_refuses_other_shapes(failures, monkeypatch, capsys):
    not_logits = as_module(replace(CLEAN, logits=lambda *arguments: [0.0]))
    right, says = replayed(failures[1][1], not_logits, monkeypatch, capsys)
    assert (right, "shape (1,) in place of" in says) == (False, True), says


def test_the_file_holds_the_whole_failure(failures):
    judgement, paths = failures
    worst = judgement.outcomes[1].worst
    whole = worst.example.whole
    with safe_open(paths[2], "np") as file:
        about = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert json.loads(about["values"]) == {"config": whole.config, "takes_mask": True}
    assert about["check"] == "cache/in pieces"
    assert about["says"] == judgement.outcomes[1].says
    assert arrays["chunks"].tolist() == list(worst.example.chunks)
    assert arrays["answer"].tobytes() == worst.answer.tobytes()
    assert arrays["reference"].dtype == np.float64
    for name, array in whole.weights.items():
        assert arrays[f"weights.{name}"].tobytes() == array.tobytes()
        assert arrays[f"weights.{name}"].shape == array.shape


def test_a_misbehaviour_is_written_as_its_text(tmp_path):
    def raising(*arguments):
        raise RuntimeError("no \ud800 kernel")

    subject = guarded(replace(CLEAN, logits=raising))
    path, _ = save_failures(judged(subject, "model/logits"), tmp_path)
    with safe_open(path, "np") as file:
        assert "answer" not in file.keys()  # noqa: SIM118
        assert "RuntimeError: no " in file.metadata()["answer"]


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
    paths = save_failures(Judgement(CLEAN, tuple(outcomes)), tmp_path)
    assert len({path.name.lower() for path in paths}) == len(names)
    assert {path.parent for path in paths} == {tmp_path}
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    saved = json.loads(paths[0].read_text(encoding="utf-8"))
    assert saved["answer"] == "it raised"
    assert saved["example"] == {"values": [0.5, "{1}", {"k": "b'\\xff'"}, "\ud800"]}


def test_what_is_right_leaves_nothing(tmp_path):
    judgement = Judgement(CLEAN, (odd_outcome("a/b", RIGHT),))
    assert save_failures(judgement, tmp_path / "made") == []
    assert list((tmp_path / "made").iterdir()) == []


def test_files_are_replaced_whole(tmp_path, monkeypatch):
    judgement = Judgement(CLEAN, (odd_outcome("a/b"),))
    (path,) = save_failures(judgement, tmp_path)
    before = path.read_bytes()

    def full(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        save_failures(judgement, tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
