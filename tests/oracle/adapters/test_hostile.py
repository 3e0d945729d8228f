"""A subject that attacks the judge gets nothing executed, and leaves nothing behind."""

import os
import time

import numpy as np
import pytest

from oracle.adapters import child
from oracle.adapters.guard import DIED, GARBLED, RAISED, Misbehaviour
from oracle.adapters.own_process import isolated
from oracle.adapters.subject import NoSubject
from oracle.conformance._program import main
from tests.helpers.patience import NEVER


@pytest.fixture(scope="module")
def subject():
    with isolated("tests.foreign.hostile", seconds=NEVER) as hostile:
        yield hostile


def do(subject, deed, path=None):
    config = {"do": deed, "path": None if path is None else str(path)}
    return subject.logits(config, {}, np.zeros((1, 1), int), np.ones((1, 1), bool))


@pytest.mark.parametrize(
    ("deed", "kind", "says"),
    [
        ("pickle", GARBLED, "logits was answered with a message of"),
        ("long", GARBLED, "logits was answered with a message of 4611686018427387904 bytes; the m"),
        ("long arrays", GARBLED, "logits was answered with a message of 23058430092136939"),
        ("objects", GARBLED, "logits was answered with an array of object; only numbers"),
        ("records", GARBLED, "logits was answered with an array of [('a', "),
        ("texts", GARBLED, "logits was answered with an array of <U5; only numbers"),
        ("vast", GARBLED, "logits was answered with no array: "),
        ("huge", GARBLED, "logits was answered with an array of 0 bytes; (999999999999,) of flo"),
        ("negative", GARBLED, "logits was answered with an array of shape (-1, -1)"),
        ("no header", GARBLED, "logits was answered with no array: "),
        ("nan", GARBLED, "logits was answered with an array at nan of inf bytes"),
        ("outside", GARBLED, "logits was answered with an array at 0 of 99 bytes; there are 0"),
        ("tag", GARBLED, "logits was answered with no message: KeyError: '$object'"),
        ("deep", GARBLED, "logits was answered with "),
        ("list", GARBLED, "logits was answered with [1, 2], which is no dict of names"),
        ("no kind", GARBLED, "logits was answered with {'kind': 'right'"),
        ("no says", GARBLED, "logits was answered with {'kind': 'raised', 'says': {"),
        ("no answer", GARBLED, "logits was answered with {'verdict': 'right'}"),
        ("escapes", RAISED, "ValueError: \\x1b[2J\\x9b31mred"),
        ("zero", DIED, "logits: the program ended with exit status 0"),
        ("exit", DIED, "logits ended the program with exit status 0"),
        ("kill the group", DIED, "logits: the program was ended by SIGKILL"),
    ],
)
def test_an_attack_is_a_misbehaviour_and_the_next_call_works(subject, tmp_path, deed, kind, says):
    trace = tmp_path / "executed"
    with pytest.raises(Misbehaviour) as caught:
        do(subject, deed, trace)
    assert (caught.value.kind, caught.value.says[: len(says)]) == (kind, says)
    assert not trace.exists()
    assert do(subject, "answer").tolist() == [[1]]


def test_frames_that_it_prints_are_no_answers(subject, capfd):
    assert do(subject, "frames on stdout").tolist() == [[1]]
    assert do(subject, "answer").tolist() == [[1]]
    assert "\x93" not in capfd.readouterr().err


def test_a_flood_is_cut_and_has_no_control_characters(capfd):
    with isolated("tests.foreign.hostile", seconds=NEVER) as subject:
        assert do(subject, "flood").tolist() == [[1]]
    out, error = capfd.readouterr()
    assert out == ""
    assert "\x1b" not in error
    lines = error.splitlines()
    assert lines[0] == "\\x1b[2Jflood"
    assert len(lines) == child.LINES_SHOWN + 1
    assert lines[-1] == "(it prints more, which is left out)"


def runs(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs Linux's /proc")
@pytest.mark.parametrize("end", ["answer", "zero"])
def test_what_it_leaves_behind_in_a_session_of_its_own_ends_with_it(tmp_path, end):
    note = tmp_path / "pid"
    with isolated("tests.foreign.hostile", seconds=NEVER) as subject:
        do(subject, "orphan", note)
        process = int(note.read_text())
        assert runs(process)
        if end == "zero":
            with pytest.raises(Misbehaviour):
                do(subject, "zero")
    assert not runs(process)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs Linux's /proc")
@pytest.mark.parametrize("deed", ["kill its parent", "kill its parent's group"])
def test_what_has_killed_its_keeper_ends_too(tmp_path, deed):
    note = tmp_path / "pid"
    with isolated("tests.foreign.hostile", seconds=NEVER) as subject:
        do(subject, deed, note)
        assert do(subject, "answer").tolist() == [[1]]
        process = int(note.read_text())
        assert runs(process)
    until = time.monotonic() + NEVER
    while runs(process) and time.monotonic() < until:  # it is ended, and gone a little later
        time.sleep(0.01)
    assert not runs(process)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs Linux's /proc")
def test_it_ends_where_the_judge_is_killed(tmp_path):
    note = tmp_path / "pid"
    judge = os.fork()
    if judge == 0:
        with isolated("tests.foreign.hostile", seconds=NEVER) as subject:
            do(subject, "orphan", note)
            os.kill(os.getpid(), 9)
    os.waitpid(judge, 0)
    process, until = int(note.read_text()), time.monotonic() + NEVER
    while runs(process) and time.monotonic() < until:
        time.sleep(0.01)
    assert not runs(process)


@pytest.mark.parametrize(
    "source",
    ["import sys; sys.exit(0)", "import os; os._exit(0)", "import os, signal; os.kill(0, 9)"],
)
def test_no_import_ends_the_judge_with_success(tmp_path, monkeypatch, capsys, source):
    (tmp_path / "leaves.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NoSubject), isolated("leaves"):
        pass
    assert main(["judge", "leaves"]) == 2
    assert capsys.readouterr().err.startswith("oracle: leaves could not be ")


def test_a_verdict_cannot_be_forged(tmp_path, monkeypatch, capsys):
    """Answers that are all sevens are wrong, whatever the process writes beside them."""
    (tmp_path / "sevens.py").write_text(
        "from tests.foreign.hostile import Trap, write\n"
        "import numpy, pickle\n"
        "def relu(x):\n"
        "    return 7 * numpy.ones_like(x)\n"
        "subject = {'ops': {'relu': relu}, 'name': 'sevens\\x1b[2J'}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    given = ["--only", "ops/relu", "--examples", "10", "--seed", "0"]
    assert main(["judge", "sevens:subject", *given]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "WRONG" in out
