import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from oracle.adapters import wire
from oracle.adapters.guard import DIED, GARBLED, HUNG, RAISED, Misbehaviour
from oracle.adapters.json_lines import FILES_KEPT, Shelf, dumps, loads, numbers
from oracle.adapters.program import command
from oracle.adapters.subject import NoSubject
from tests.helpers.foreign_examples import C_BUGS, FOREIGN, error, judged, unseen, wrong
from tests.helpers.patience import NEVER

LIMIT = 1.5
WEIGHTS = {"wte.weight": np.ones((1, 1), np.float32)}
NAUGHTY = shlex.join([sys.executable, str(FOREIGN / "naughty_program.py")])
GPT2 = f"node {shlex.quote(str(FOREIGN / 'gpt2.js'))}"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")


@pytest.fixture(scope="module")
def subject():
    with command(NAUGHTY, seconds=NEVER) as found:
        yield found


@pytest.fixture(scope="module")
def hurried():
    """The same with LIMIT seconds for a call, for what takes longer in any case."""
    with command(NAUGHTY, seconds=LIMIT) as found:
        yield found


def do(subject, deed, weights=WEIGHTS):
    return subject.logits({"do": deed}, weights, np.zeros((1, 1), int), np.ones((1, 1), bool))


def patiently(subject, deed):
    """Ask again where the machine was too busy for LIMIT."""
    for _ in range(100):
        try:
            return do(subject, deed)
        except Misbehaviour as misbehaviour:
            if misbehaviour.kind != HUNG:
                raise
    raise TimeoutError


def test_what_is_offered(subject):
    assert (subject.name, subject.dtype, subject.decoders) == ("naughty", "float32", ["greedy"])
    assert subject.process is None
    assert subject.ops["scale"](np.array([1.0, np.inf]), by=3).tolist() == [3, np.inf]


@pytest.mark.parametrize("deed", ["sleep", "child"])
def test_what_hangs_is_told_and_the_next_call_works(hurried, deed):
    with pytest.raises(Misbehaviour) as caught:
        do(hurried, deed)
    assert caught.value.kind == HUNG
    assert caught.value.says == f"logits gave no answer within {LIMIT:g} s"
    assert patiently(hurried, "answer").tolist() == [[1, np.float32(0.1)]]


@pytest.mark.parametrize(
    ("deed", "kind", "says"),
    [
        ("endless", GARBLED, "logits was answered with a line of more than 16777216 bytes"),
        ("long", GARBLED, "logits was answered with a line of more than 16777216 bytes"),
        ("die", DIED, "the program ended with exit status 1, saying 'Error: the disk is on fire'"),
        ("silent child", DIED, "logits: the program ended with exit status 1"),
        ("crash", DIED, "logits: the program was ended by SIGSEGV"),
        ("close", DIED, "logits: the program closed its output"),
        ("refuse", RAISED, "too long"),
        ("garbage", GARBLED, "'step 1: loss 3.4'; expected a JSON object on one line"),
        ("blank", GARBLED, "''; expected a JSON object on one line"),
        ("list", GARBLED, "'[1, 2]'; expected a JSON object"),
        ("bytes", GARBLED, "expected a JSON object"),
        ("deep", GARBLED, "logits was answered with"),
        ("ragged", GARBLED, "logits answered"),
        ("words", GARBLED, "logits answered 'a' for a number"),
        ("objects", GARBLED, "logits answered"),
        ("empty", GARBLED, "logits answered {}, which has no values, file or error"),
        ("short file", GARBLED, "shape [1, 2] of float32 needs 8 bytes"),
        ("odd shape", GARBLED, "logits answered shape [-1]"),
        ("odd dtype", GARBLED, "logits answered dtype 'int3'"),
        ("no file", GARBLED, "logits answered no file at nowhere"),
        ("device", GARBLED, "logits answered no file at /dev/zero"),
    ],
)
def test_misbehaviour_is_told_and_the_next_call_works(subject, deed, kind, says):
    with pytest.raises(Misbehaviour) as caught:
        do(subject, deed)
    assert caught.value.kind == kind
    assert says in caught.value.says
    assert len(caught.value.says.splitlines()) == 1
    assert do(subject, "answer").tolist() == [[1, np.float32(0.1)]]


def test_more_than_was_asked_is_told_at_the_next_call(subject):
    assert do(subject, "twice") == 1
    time.sleep(0.1)
    with pytest.raises(Misbehaviour, match="said more than it was asked") as caught:
        do(subject, "answer")
    assert caught.value.kind == GARBLED
    assert do(subject, "answer").shape == (1, 2)


def test_numbers_come_in_files_or_lines(subject):
    assert do(subject, "answer").dtype == np.float32
    found = do(subject, "file")
    assert (found.tolist(), found.dtype) == ([[1, -2]], np.float32)
    assert do(subject, "half").tolist() == [0, 1, 0, -2]
    spoken = do(subject, "not finite")
    assert np.array_equal(spoken, [[np.nan, -np.inf, np.inf, np.nan, 1]], equal_nan=True)


def test_other_calls(subject):
    vocabulary = {"a": 0, "b": 1}
    assert subject.encode(vocabulary, [], "abba") == [0, 1, 1, 0]
    assert subject.decode(vocabulary, [("a", "b")], [1, 0]) == "ba"
    assert subject.perplexity({}, WEIGHTS, np.zeros(2, int), 1) == 2.5
    found = subject.generate(
        lambda rows: np.array([[-np.inf, 0.5]] * len(rows)),
        [[0], [1, 1]],
        {
            "prefix_allowed_tokens_fn": lambda prompt, row: {9}.union(row),
            "sequence_bias": {(5, 6): 1.0},
        },
        None,
    )
    assert found == [[0, 1, 0, 9, 5, 6], [1, 1, 1, 0, 9, 5, 6]]


def test_there_is_nobody_to_ask(subject):
    assert do(subject, "ask nobody") == len(
        '{"error": "there is no function \'nobody\' to ask for now"}'
    )


def test_caches_have_the_names_that_the_program_gave(subject):
    given = ({}, WEIGHTS, np.zeros((1, 1), int), np.ones((1, 1), bool))
    found, cache = subject.step(*given, None)
    other, _ = subject.step(*given, None)
    second, cache = subject.step(*given, cache)
    assert [int(a[0]) for a in (found, other, second)] == [0, 0, 1]
    with pytest.raises(Misbehaviour):
        do(subject, "die")
    with pytest.raises(Misbehaviour, match="went with the process") as caught:
        subject.step(*given, cache)
    assert caught.value.kind == DIED


def test_the_same_weights_are_written_once_and_few_are_kept(tmp_path):
    shelf = Shelf(tmp_path)
    weights = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "a": np.zeros((0, 2), np.float32),
    }
    first = shelf.weights(weights)
    assert first == shelf.weights({name: array.copy() for name, array in weights.items()})
    stored = load_file(first)
    assert stored.keys() == weights.keys()
    assert all(np.array_equal(stored[name], weights[name]) for name in weights)
    paths = [shelf.weights({"b": np.float32([i])}) for i in range(FILES_KEPT + 3)]
    assert len(set(paths)) == len(paths)
    assert sorted(map(str, tmp_path.iterdir())) == sorted(paths[3:])
    assert shelf.weights(weights) != first  # removed, so written again


def test_files_and_processes_are_gone_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with command(NAUGHTY) as subject:
        do(subject, "file")
        (folder,) = tmp_path.iterdir()
        assert {path.suffix for path in folder.iterdir()} == {".safetensors", ""}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("./no-such-program --fast", "could not be started: No such file or directory"),
        ("", "the command is empty"),
        ("'half", "is no command: No closing quotation"),
        (f"{sys.executable} -c 1", "the first request: the program ended with exit status 0"),
        (f"{sys.executable} -c 'raise ValueError(5)'", "saying 'ValueError: 5'"),
        (f"{sys.executable} -c 'print(\"welcome\")'", "'welcome'; expected a JSON object"),
        (NAUGHTY + """ '{"functions": 5}'""", "functions of"),
        (NAUGHTY + """ '{"functions": []}'""", "offers nothing to judge"),
        (NAUGHTY + """ '{"functions": ["logit"]}'""", "offers 'logit'; the functions are logits"),
        (NAUGHTY + """ '{"claims": {"mask": 3}}'""", "mask is 3; expected True or False"),
        (NAUGHTY + """ '{"claims": []}'""", "[] is no dict; expected one with some of"),
        (NAUGHTY + """ '{"claims": {"heads": [{}]}}'""", "heads has {}; expected some of tied"),
        (NAUGHTY + """ '{"dtype": "int8"}'""", "'int8'; expected one of float64"),
    ],
)
def test_there_is_no_subject(line, says):
    with pytest.raises(NoSubject) as caught, command(line):
        pass
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_program_that_does_not_start_in_time(monkeypatch):
    monkeypatch.setattr(wire, "STARTING", 0.5)
    with pytest.raises(NoSubject, match=r"gave no answer within 0\.5 s"), command("sleep 1000"):
        pass


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_file_that_is_no_program(tmp_path):
    tmp_path.joinpath("notes").write_text("text")
    with pytest.raises(NoSubject, match="Permission denied"), command(str(tmp_path / "notes")):
        pass


floats = st.floats(allow_nan=True)


@given(st.recursive(floats, lambda each: st.lists(each, max_size=3)))
def test_whatever_is_said_is_heard(value):
    said = loads(b"".join(dumps({"values": value})))["values"]
    assert json.dumps(_spoken(said)) == json.dumps(value)


def _spoken(value):
    if isinstance(value, list):
        return [_spoken(each) for each in value]
    return float(value)


@given(
    st.lists(st.floats(width=32), min_size=1), st.sampled_from(["float64", "float32", "float16"])
)
def test_numbers_are_exact_in_the_claimed_dtype(values, dtype):
    line = b"".join(dumps({"values": np.array(values, np.float32)}))
    found = numbers(loads(line)["values"], dtype)
    assert found.dtype == ("float64" if dtype == "float64" else "float32")
    assert np.array_equal(found, values, equal_nan=True)


@needs_node
def test_a_foreign_model_is_within_the_noise_floor():
    with command(GPT2, seconds=NEVER) as subject:
        assert all(error(subject, example, *floor) <= 1 for example, floor in judged(100))
        assert wrong(subject) == set()
        ruled_out = np.array([[0.5, -np.inf, 2.0]])
        found = subject.generate(lambda rows: ruled_out, [[0], [1]], {"max_new_tokens": 2}, None)
    assert found == [[0, 2, 2], [1, 2, 2]]


@needs_node
def test_its_bugs_are_not():
    assert unseen(lambda bug: command(f"{GPT2} {bug}", seconds=NEVER), judged(100)) == []
    for bug in ("layers-file-order", "missing-tensor-random", "context-wraps"):
        with command(f"{GPT2} {bug}", seconds=NEVER) as subject:
            assert wrong(subject) == {bug}


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_foreign_model_in_c(tmp_path):
    program = tmp_path / "gpt2"
    words = ["cc", "-O2", "-o", str(program), str(FOREIGN / "gpt2.c"), "-lm"]
    subprocess.run(words, check=True)
    line = shlex.quote(str(program))
    with command(line, seconds=NEVER) as subject:
        assert all(error(subject, example, *floor) <= 1 for example, floor in judged(100))
        assert wrong(subject) == set()
    assert unseen(lambda bug: command(f"{line} {bug}", seconds=NEVER), judged(100), C_BUGS) == []
