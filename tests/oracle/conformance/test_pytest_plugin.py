"""pytest --gpt2-subject in somebody else's suite."""

import json
import re
from xml.etree import ElementTree

import pytest

from oracle import pytest_gpt2
from oracle.conformance import _pytest_plugin
from oracle.conformance._program import _judge as command

pytest_plugins = ["pytester"]

# Of this checkout, whatever is installed.
PLUGIN = ("-p", "no:gpt2", "-p", "oracle.pytest_gpt2", "-p", "no:cacheprovider")
THEIRS = """
def relu(x):
    return x * (x > 0)

subject = {"name": "theirs", "ops": {"relu": relu, "gelu": relu}}

def in_dtype(*, dtype="float32"):
    return subject | {"dtype": dtype}
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    """Runs pytest in a folder with a subject and a test of their own; its result."""
    pytester.makepyfile(theirs=THEIRS, test_own="def test_own(): pass")
    pytester.syspathinsert()
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return lambda *arguments, plugin=PLUGIN: pytester.runpytest_inprocess(*plugin, *arguments)


def test_nothing_is_added_unless_asked_for(suite):
    suite().assert_outcomes(passed=1)


def test_the_checks_run_beside_their_own_tests_and_end_in_the_commands_summary(suite):
    asked = ("--gpt2-subject=theirs:subject", "--gpt2-sizes=toy", "--gpt2-examples=20")
    done = suite(*asked, "--gpt2-seed=0", "-v")
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines(
        [
            "*test_own.py::test_own PASSED*",
            "*gpt2::ops/gelu FAILED*",
            "*gpt2::ops/relu PASSED*",
            "wrong: at *",
            "ops/gelu  *wrong *",
            "    with --gpt2-seed=0 the examples are the same again",
            "*= gpt2 =*",
            "theirs, float32: WRONG",
            "behaves like relu-for-gelu*",
            "seed 0: with --gpt2-seed 0 the examples are the same*",
        ]
    )


def test_what_is_not_offered_is_not_collected(suite):
    done = suite("--gpt2-subject=theirs:subject", "--gpt2-sizes=toy", "--collect-only", "-q")
    assert re.findall(r"^gpt2::(.*)$", done.stdout.str(), re.M) == ["ops/gelu", "ops/relu"]


def test_some_checks_may_be_chosen(suite):
    asked = ("--gpt2-subject=theirs:subject", "--gpt2-sizes=toy", "--gpt2-examples=5")
    suite(*asked, "-k", "gpt2 and relu").assert_outcomes(passed=1, deselected=2)
    suite(*asked, "--gpt2-only=*/relu", "--gpt2-only", "cache/one by one").assert_outcomes(passed=2)


def test_a_missing_subject_is_one_line(suite):
    done = suite("--gpt2-subject=nowhere")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: nowhere could not be loaded: ModuleNotFoundError*"])
    done.stderr.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--gpt2-seed=-1", "--gpt2-seed: '-1' is not a seed; give 0 to 18446744073709551615"),
        ("--gpt2-examples=many", "--gpt2-examples: 'many' is not a number of examples; give 1 or"),
        ("--gpt2-sizes=huge", "--gpt2-sizes: invalid choice: 'huge' (choose from"),
        ("--gpt2-only=nothing/*", "no check fits --only nothing/[*]; they are"),
        ("--gpt2-xfail=no/file", "[[]Errno 2] No such file or directory: 'no/file'"),
        ("--gpt2-json=no/folder/o.json", "no/folder/o.json cannot be written: its folder is not"),
        ("--gpt2-dtype=float16", "theirs:subject takes no dtype: it is not a function; leave it"),
    ],
)
def test_what_cannot_be_is_one_line(suite, option, says):
    done = suite("--gpt2-subject=theirs:subject", option)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([f"ERROR: {says}*"])
    done.stderr.no_fnmatch_line("*Traceback*")


def test_every_option_of_the_command_is_one_of_pytest():
    # What only a terminal needs, and what holds an engine to one real checkpoint, without checks.
    elsewhere = {"help", "quiet", "checkpoint", "prompts", "openai", "model", "api-key-env"}
    elsewhere |= {"request"}
    options = {name.replace("_", "-") for name in vars(command.parsed([]))}
    assert set(pytest_gpt2.OPTIONS) == options - elsewhere - {"run"}


def test_the_configuration_may_say_it_all(suite, pytester):
    pytester.makefile(
        ".toml",
        pyproject="""
        [tool.pytest.ini_options]
        gpt2_subject = "theirs:in_dtype"
        gpt2_dtype = "float64"
        gpt2_only = ["ops/*", "cache/one by one"]
        gpt2_examples = 5
        gpt2_seed = 7
        gpt2_sizes = "toy"
        gpt2_strict = true
        gpt2_json = "report.json"
        """,
    )
    suite().assert_outcomes(passed=2, failed=1)
    report = json.loads((pytester.path / "report.json").read_text())
    assert (report["seed"], report["dtype"], report["verdict"]) == (7, "float64", "wrong")
    asked = [check["name"] for check in report["checks"] if check["verdict"] != "not offered"]
    assert asked == ["ops/gelu", "ops/relu"]
    assert {check["name"].split("/")[0] for check in report["checks"]} == {"ops", "cache"}
    # What is named on the command line goes before; a test asked for by name comes alone.
    suite("--gpt2-only=ops/relu", "--gpt2-seed=3").assert_outcomes(passed=2)
    suite("test_own.py::test_own").assert_outcomes(passed=1)
    suite("test_own.py").assert_outcomes(passed=2, failed=1)


def test_known_failures_are_expected_and_told_when_they_are_none(suite, pytester):
    known = pytester.makefile(".txt", known="ops/gelu: a ReLU in its place, issue 3")
    subject = ("--gpt2-subject=theirs:subject", "--gpt2-sizes=toy")
    asked = (*subject, "--gpt2-examples=20", f"--gpt2-xfail={known}")
    done = suite(*asked)
    done.assert_outcomes(passed=2, xfailed=1)
    assert done.ret == 0
    done.stdout.fnmatch_lines(
        [
            "theirs, float32: RIGHT but for 1 known failure",
            "known to fail: ops/gelu, a ReLU in its place, issue 3",
        ]
    )
    known.write_text("ops/relu: wrong, says a friend\nops/gelu: too\n")
    done = suite(*asked)
    done.assert_outcomes(passed=1, failed=1, xfailed=1)
    done.stdout.fnmatch_lines(
        [
            "[[]XPASS(strict)[]] wrong, says a friend",
            "ops/relu is right, though it is known to fail (wrong, says a friend): take its *",
        ]
    )


def test_each_worker_of_xdist_has_its_own_subject_and_all_have_one_summary(suite, pytester):
    pytest.importorskip("xdist")
    asked = ("--gpt2-subject=theirs:subject", "--gpt2-examples=20", "-n2", "--gpt2-json=o.json")
    done = suite(*asked, "--gpt2-sizes=toy")
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines(["theirs, float32: WRONG", "behaves like relu-for-gelu*"])
    report = json.loads((pytester.path / "o.json").read_text())
    counts = {check["name"]: check["matches"] for check in report["checks"]}
    assert counts["ops/relu"] == 20
    assert report["seed"] is not None
    assert sum(check["verdict"] == "not offered" for check in report["checks"]) > 50


def test_the_first_failure_ends_it_and_the_last_failures_run_again(suite):
    plugin = [option for option in PLUGIN if option != "no:cacheprovider"][:-1]
    asked = ("--gpt2-subject=theirs:subject", "--gpt2-examples=20", "--gpt2-sizes=toy")
    suite(*asked, "-x", plugin=plugin).assert_outcomes(passed=1, failed=1)
    suite(*asked, "--lf", plugin=plugin).assert_outcomes(failed=1, deselected=2)


def test_junit_files_have_the_subject_the_seed_and_the_verdict(suite, pytester):
    suite("--gpt2-subject=theirs:subject", "--gpt2-examples=5", "--gpt2-seed=1", "--junitxml=j.xml")
    cases = ElementTree.parse(pytester.path / "j.xml").iter("testcase")
    found = {case.get("name"): case for case in cases if case.get("classname") == "gpt2"}
    properties = {p.get("name"): p.get("value") for p in found["ops/gelu"].iter("property")}
    assert properties == {
        "gpt2_subject": "theirs",
        "gpt2_dtype": "float32",
        "gpt2_seed": "1",
        "gpt2_verdict": "wrong",
    }
    assert found["ops/gelu"].find("failure") is not None
    assert found["ops/relu"].find("failure") is None


def test_outcomes_of_every_check_can_be_sent():
    import pickle

    from oracle.adapters import pytorch
    from oracle.adapters.guard import guarded
    from oracle.conformance import checks_at
    from oracle.conformance._outcome import run
    from tests.oracle.conformance.test_replay import as_if_wrong

    subject = pytorch.subject()
    asked = [check for check in checks_at("toy") if check.examples(subject) is not None]
    for check in asked:
        sent = _pytest_plugin._sent(as_if_wrong(check, subject))
        name, outcome = pickle.loads(pickle.dumps(sent))
        assert (name, outcome.verdict, len(outcome.seen)) == (check.name, "wrong", 1)
    assert run(asked[0], guarded(subject), count=1).verdict == "right"
