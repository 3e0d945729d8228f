import gc
import time

import numpy as np
import pytest
import torch

from oracle.adapters.claims import Claims
from oracle.adapters.guard import (
    CHANGED_ANSWER,
    CHANGED_ARGUMENTS,
    DIED,
    GARBLED,
    HUNG,
    RAISED,
    Misbehaviour,
)
from oracle.adapters.own_process import isolated
from oracle.adapters.subject import NoSubject
from tests.helpers.foreign_examples import error, judged, unseen, wrong
from tests.helpers.patience import NEVER

LIMIT = 1.5
WEIGHTS = {"wte.weight": np.ones((1, 1))}


@pytest.fixture(scope="module")
def subject():
    with isolated("tests.foreign.naughty", seconds=NEVER) as found:
        yield found


def test_claims_come_from_the_process_and_a_dtype_beyond_them_is_one_line():
    with isolated("oracle.adapters.npgpt:subject") as npgpt:
        assert npgpt.claims == Claims(dtypes=["float32", "float64"])
    path = "oracle.adapters.npgpt:subject"
    with pytest.raises(NoSubject) as caught, isolated(path, dtype="bfloat16"):
        pass
    assert "dtypes are float32, float64, but its dtype is bfloat16; offer" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.fixture(scope="module")
def hurried():
    """The same with LIMIT seconds for a call, for what takes longer in any case."""
    with isolated("tests.foreign.naughty", seconds=LIMIT) as found:
        yield found


def do(subject, deed):
    return subject.logits({"do": deed}, WEIGHTS, np.zeros((1, 1), int), np.ones((1, 1), bool))


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
    assert (subject.name, subject.dtype) == ("tests.foreign.naughty", "float32")
    assert subject.process is subject.encode is None
    assert list(subject.ops) == ["double"]
    assert subject.ops["double"](np.ones(2), offset=3).tolist() == [5, 5]


@pytest.mark.parametrize("deed", ["sleep"])
def test_what_hangs_is_told_and_the_next_call_works(hurried, deed):
    with pytest.raises(Misbehaviour) as caught:
        do(hurried, deed)
    assert caught.value.kind == HUNG
    assert caught.value.says == f"logits gave no answer within {LIMIT:g} s"
    assert patiently(hurried, "answer").tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("deed", "kind", "says"),
    [
        ("die", DIED, "logits: the program ended with exit status 3"),
        ("exit", DIED, "logits ended the program with exit status 3"),
        ("crash", DIED, "logits: the program was ended by SIGSEGV"),
        ("close", DIED, "logits: the program"),
        ("raise", RAISED, "ValueError: not"),
        ("write", CHANGED_ARGUMENTS, 'logits changed its argument weights["wte.weight"]'),
        ("nothing", GARBLED, "logits answered None; expected an array of numbers"),
        ("words", GARBLED, "logits answered list"),
    ],
)
def test_misbehaviour_is_told_and_the_next_call_works(subject, deed, kind, says):
    with pytest.raises(Misbehaviour) as caught:
        do(subject, deed)
    assert caught.value.kind == kind
    assert caught.value.says.startswith(says)
    assert do(subject, "answer").tolist() == [[1, 1]]
    assert WEIGHTS["wte.weight"] == 1


def test_a_view_that_changes_is_told(subject):
    do(subject, "view")
    with pytest.raises(Misbehaviour) as caught:
        do(subject, "view")
    assert caught.value.kind == CHANGED_ANSWER


def test_wrong_numbers_and_shapes_pass(subject):
    found = do(subject, "nan")
    assert found.shape == (7, 1)
    assert np.isnan(found).all()
    assert do(subject, "answer").dtype == np.float32


def test_what_it_prints_goes_to_standard_error(subject, capfd):
    assert do(subject, "print").tolist() == [1]  # and standard input is empty
    assert do(subject, "answer").shape == (1, 2)
    assert capfd.readouterr().out == ""


def test_functions_of_the_judge_run_there(subject):
    seen = []

    def next_logits(rows):
        seen.append(rows)
        return np.eye(4)[[len(row) for row in rows]]

    found = subject.generate(
        next_logits,
        [[0], [1, 1]],
        {
            "prefix_allowed_tokens_fn": lambda prompt, row: [prompt, *row],
            "logits_processor": (lambda rows, scores: scores[:, ::-1],),
        },
        None,
    )
    assert found == [[0, 2, 0, 0], [1, 1, 1, 1, 1, 1]]
    assert seen == [[[0]], [[1, 1]]]


def test_what_a_function_of_the_judge_raises_reaches_the_subject(subject):
    def refuses(rows):
        raise IndexError("id 99")

    with pytest.raises(Misbehaviour, match="next_logits: IndexError: id 99") as caught:
        subject.generate(refuses, [[0]], {}, None)
    assert caught.value.kind == RAISED


def test_an_interrupted_call_leaves_nothing_behind(subject):
    def interrupted(rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        subject.generate(interrupted, [[0]], {}, None)
    assert do(subject, "answer").tolist() == [[1, 1]]


def test_the_time_limit_covers_the_whole_call(hurried):
    def slow(rows):
        time.sleep(LIMIT / 2)
        return np.ones((1, 2))

    with pytest.raises(Misbehaviour) as caught:
        hurried.generate(slow, [[0], [0], [0], [0]], {}, None)
    assert caught.value.kind == HUNG


def test_caches_stay_with_the_child(subject):
    given = ({}, WEIGHTS, np.zeros((1, 1), int), np.ones((1, 1), bool))
    first, cache = subject.step(*given, None)
    other, another = subject.step(*given, None)
    second, cache = subject.step(*given, cache)
    third, cache = subject.step(*given, cache)
    assert [int(a[0]) for a in (first, other, second, third)] == [0, 0, 1, 2]
    del another
    gc.collect()
    assert subject.step(*given, cache)[0] == [3]


def test_a_cache_dies_with_its_child(subject):
    given = ({}, WEIGHTS, np.zeros((1, 1), int), np.ones((1, 1), bool))
    _, cache = subject.step(*given, None)
    with pytest.raises(Misbehaviour):
        do(subject, "die")
    for _ in range(2):
        with pytest.raises(Misbehaviour, match="went with the process") as caught:
            subject.step(*given, cache)
        assert caught.value.kind == DIED
        assert do(subject, "answer").shape == (1, 2)


def test_tensors_that_it_asks_with_come_back_as_tensors(tmp_path, monkeypatch):
    tmp_path.joinpath("leaner.py").write_text(
        "import torch\n"
        "def generate(next_logits, prompts, settings, uniforms):\n"
        "    scores = torch.tensor(next_logits(torch.tensor(prompts)))\n"
        "    changed = settings['logits_processor'][0](prompts, scores)\n"
        "    return [[int(changed.argmax())]]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with isolated("leaner", seconds=NEVER) as subject:
        found = subject.generate(
            lambda rows: np.eye(3)[[rows[0][0]]],
            [[1]],
            {"logits_processor": [lambda rows, scores: -scores]},
            None,
        )
    assert found == [[0]]
    assert torch.is_tensor(torch.zeros(1))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("no_such_module", "no_such_module could not be loaded: ModuleNotFoundError"),
        (
            "tests.foreign.naughty:nothing",
            "tests.foreign.naughty:nothing could not be loaded: AttributeError",
        ),
        ("tests.foreign.naughty:DEEDS", "tests.foreign.naughty:DEEDS offers nothing to judge"),
        ("leaves", "leaves could not be loaded: SystemExit: 4"),
        (
            "dies",
            "dies could not be started: the first request: the program ended with exit status 4",
        ),
    ],
)
def test_there_is_no_subject(path, says, tmp_path, monkeypatch):
    tmp_path.joinpath("leaves.py").write_text("import sys; sys.exit(4)")
    tmp_path.joinpath("dies.py").write_text("import os; os._exit(4)")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NoSubject) as caught, isolated(path):
        pass
    assert str(caught.value).startswith(says)
    assert len(str(caught.value).splitlines()) == 1


def test_the_current_directory_is_searched(tmp_path, monkeypatch):
    tmp_path.joinpath("beside.py").write_text("def perplexity(*given): return 2")
    monkeypatch.chdir(tmp_path)
    with isolated("beside") as subject:
        assert subject.perplexity({}, {}, np.zeros(1, int), 1) == 2.0


def test_a_foreign_model_is_within_the_noise_floor():
    with isolated("tests.foreign.adapter:subject", seconds=NEVER) as subject:
        assert all(error(subject, example, *floor) <= 1 for example, floor in judged(100))
        assert wrong(subject) == set()


def test_its_bugs_are_not(monkeypatch):
    def with_bug(bug):
        monkeypatch.setenv("GPT2_BUG", bug)
        return isolated("tests.foreign.adapter:subject", seconds=NEVER)

    assert unseen(with_bug, judged(100)) == []
    for bug in ("layers-file-order", "missing-tensor-random", "context-wraps"):
        with with_bug(bug) as subject:
            assert wrong(subject) == {bug}
