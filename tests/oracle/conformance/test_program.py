"""`python -m oracle`, as a user runs it, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from oracle.conformance._program import main
from tests.helpers.patience import NEVER

ROOT = Path(__file__).parents[3]
CLEAN = """
from oracle.adapters import pytorch
def subject(*, dtype="float32", device="cpu"):
    clean = pytorch.subject(dtype=dtype, device=device)
    return {"name": "theirs", "dtype": dtype, "logits": clean.logits}
"""
WRONG = """
from oracle.adapters import pytorch
clean = pytorch.subject()
name = "theirs"
def logits(config, weights, tokens, mask):
    weights = {n: a * 1.01 if n.endswith("mlp.c_fc.bias") else a for n, a in weights.items()}
    return clean.logits(config, weights, tokens, mask)
"""


@pytest.fixture
def oracle(tmp_path, monkeypatch):
    (tmp_path / "clean.py").write_text(CLEAN)
    (tmp_path / "wrong.py").write_text(WRONG)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "oracle", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=NEVER,
        )

    return run


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """The same in this process, which is quicker: the exit code, and what is printed."""
    (tmp_path / "clean.py").write_text(CLEAN)
    (tmp_path / "wrong.py").write_text(WRONG)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            code = main(arguments)
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


def test_a_right_subject(oracle):
    only = ["--only", "model/*", "--sizes", "toy", "--examples", "5"]
    done = oracle("judge", "clean:subject", *only, "--seed", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "theirs, float32: RIGHT" in done.stdout

    assert "9 checks right" in done.stdout
    assert "no GPU here: nothing was checked on CUDA" in done.stdout


def test_a_wrong_subject_with_all_its_reports(oracle, tmp_path):
    reports = ["--json", "o.json", "--html", "o.html", "--save", "failing"]
    only = ["--only", "model/logits", "model/flags", "cache/*", "--examples", "30", "--seed", "0"]
    done = oracle("judge", "wrong", *only, *reports)
    assert (done.returncode, done.stderr) == (1, "")
    assert "theirs, float32: WRONG" in done.stdout
    assert "first goes wrong at: activation function, or MLP output projection" in done.stdout
    assert "none of the" in done.stdout
    assert "not offered: step" in done.stdout
    found = json.loads((tmp_path / "o.json").read_text())
    assert found["verdict"] == "wrong"
    assert [check["verdict"] for check in found["checks"]][:2] == ["wrong", "wrong"]
    assert (tmp_path / "o.html").read_text().startswith("<!DOCTYPE html>")
    saved = {path.name for path in (tmp_path / "failing").iterdir()}
    assert {"model-logits.py", "model-logits.safetensors"} <= saved


def test_dtype_is_handed_on(oracle):
    arguments = [
        "--only",
        "ops/*",
        "model/logits",
        "--examples",
        "3",
        "--seed",
        "0",
        "--dtype",
        "bfloat16",
    ]
    done = oracle("judge", "clean:subject", *arguments, "--quiet")
    assert done.returncode == 0
    assert done.stdout.startswith("\ntheirs, bfloat16: RIGHT")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["judge"], "name one subject: module:attribute, or --command"),
        (["judge", "clean", "--command", "x"], "name one subject"),
        (["judge", "nowhere:subject"], "nowhere:subject could not be loaded: ModuleNotFoundError"),
        (["judge", "clean"], "clean offers nothing to judge"),
        (["vectors", "clean.py"], "clean.py"),
        (["judge", "wrong", "--dtype", "float16"], "wrong takes no dtype"),
        (
            ["judge", "wrong", "--only", "nothing/*"],
            "no check fits --only nothing/*; they are",
        ),
        (["judge", "wrong", "--device", "cuda"], "no GPU is to be had here, so nothing was"),
        (["judge", "--command", "no-such-program-here"], "no-such-program-here"),
        (["judge", "wrong", "--html", "no/such/folder.html"], "no/such"),
    ],
)
def test_what_cannot_be_judged_is_one_line(told, arguments, says):
    code, _, error = told(*arguments)
    assert code == 2
    assert says in error
    assert error.startswith("oracle: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("bad", ["0", "-3", "many"])
def test_a_number_of_examples_is_one(told, bad):
    code, _, error = told("judge", "wrong", "--examples", bad)
    assert code == 2
    assert f"{bad!r} is not a number of examples; give 1 or more" in error


@pytest.mark.parametrize("bad", ["0", "-1", "nan", "inf", "soon"])
def test_a_time_limit_is_one(told, bad):
    code, _, error = told("judge", "wrong", "--seconds", bad)
    assert code == 2
    assert f"{bad!r} is not a time limit; give seconds above 0" in error


def test_help_says_what_there_is(told):
    code, shown, _ = told("--help")
    assert code == 0
    assert all(word in shown for word in ("judge", "power", "vectors"))
    _, shown, _ = told("judge", "--help")
    assert all(option in shown for option in ("--command", "--only", "--html", "--save", "--json"))


def test_vectors_are_written(oracle, tmp_path):
    done = oracle("vectors", "out/vectors")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out/vectors/index.json").exists()


RELU_FOR_GELU = """
def relu(x):
    return x * (x > 0)
name, ops = "theirs", {"relu": relu, "gelu": relu}
"""


def test_known_failures_do_not_make_it_wrong(told, tmp_path):
    (tmp_path / "kernels.py").write_text(RELU_FOR_GELU)
    (tmp_path / "known.txt").write_text("ops/gelu: a ReLU, issue 3\n")
    asked = ("judge", "kernels", "--sizes", "toy", "--examples", "20")
    code, shown, _ = told(*asked, "--xfail", "known.txt", "--json", "o.json")
    assert code == 0
    assert "theirs, float32: RIGHT but for 1 known failure\n" in shown
    assert "known to fail: ops/gelu, a ReLU, issue 3" in shown
    report = json.loads((tmp_path / "o.json").read_text())
    known = {"check": "ops/gelu", "reason": "a ReLU, issue 3", "state": "fails"}
    assert (report["verdict"], report["known_failures"]) == ("right", [known])


def test_a_known_failure_that_is_right_is_told(told, tmp_path):
    (tmp_path / "kernels.py").write_text(RELU_FOR_GELU)
    (tmp_path / "known.txt").write_text("ops/relu: once\n")
    asked = ("judge", "kernels", "--only", "ops/relu", "--examples", "3")
    code, shown, _ = told(*asked, "--xfail", "known.txt")
    assert code == 6
    assert "ops/relu is right, though it is known to fail (once): take its line out" in shown
