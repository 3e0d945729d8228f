"""gpt2_checks in somebody's own test file: one test for each check of what is offered."""

import re

import pytest

import oracle
from oracle.adapters import NoSubject
from oracle.conformance import RIGHT

pytest_plugins = ["pytester"]
PLUGIN = ("-p", "no:gpt2", "-p", "no:cacheprovider")


def relu(x):
    return x * (x > 0)


SUBJECT = {"name": "mine", "ops": {"relu": relu, "gelu": relu}}


def checks_of(decorator):
    """The parameters, by their ids."""

    @decorator
    def test(check):
        check()

    (mark,) = test.pytestmark
    assert mark.args[0] == "check"
    return {parameter.id: parameter for parameter in mark.args[1]}


@oracle.gpt2_checks(SUBJECT, only="ops/relu", examples=5)
def test_a_check_is_called_and_gives_what_came_of_it(check):
    assert check.name == "ops/relu"
    assert check().verdict == RIGHT


def test_one_for_each_check_of_what_is_offered():
    assert list(checks_of(oracle.gpt2_checks(SUBJECT, sizes="toy"))) == ["ops/gelu", "ops/relu"]
    assert list(checks_of(oracle.gpt2_checks(SUBJECT, sizes="toy", only=["*/relu"]))) == [
        "ops/relu"
    ]


def test_a_failing_check_says_what_is_wrong_and_by_which_seed():
    (check,) = checks_of(oracle.gpt2_checks(SUBJECT, only="ops/gelu", seed=5, examples=20)).values()
    with pytest.raises(AssertionError) as caught:
        check.values[0]()
    first, *lines = str(caught.value).splitlines()
    assert re.match(r"wrong: at \[.*\] it gave .*; it is ", first)
    assert lines[2].startswith("ops/gelu")
    assert "    seed 5" in lines
    assert lines[-1].startswith("    OpExample(")


def test_known_failures_are_strict(tmp_path):
    file = tmp_path / "known.txt"
    file.write_text("ops/gelu: a ReLU\n")
    for known in ({"ops/gelu": "a ReLU"}, file, str(file)):
        parameters = checks_of(oracle.gpt2_checks(SUBJECT, xfail=known, sizes="toy"))
        (mark,) = parameters["ops/gelu"].marks
        assert (mark.name, mark.kwargs) == ("xfail", {"reason": "a ReLU", "strict": True})
        assert not parameters["ops/relu"].marks
    with pytest.raises(NoSubject, match="xfail has 'ops/glue', which is no check; the nearest is "):
        oracle.gpt2_checks(SUBJECT, xfail={"ops/glue": "a ReLU"})


def test_what_cannot_be_is_told():
    with pytest.raises(ValueError, match="no size is named 'huge'"):
        oracle.gpt2_checks(SUBJECT, sizes="huge")
    with pytest.raises(NoSubject, match="mine offers nothing that a check of model/\\* at toy"):
        oracle.gpt2_checks(SUBJECT, sizes="toy", only="model/*")
    with pytest.raises(NoSubject, match="relu offers nothing to judge; give it at least one"):
        oracle.gpt2_checks(relu.__get__(1))
    with pytest.raises(NoSubject, match="nowhere could not be loaded"):
        oracle.gpt2_checks("nowhere")


def test_a_function_that_makes_the_subject_is_called():
    assert list(checks_of(oracle.gpt2_checks(lambda: SUBJECT, sizes="toy"))) == [
        "ops/gelu",
        "ops/relu",
    ]


def test_in_a_file_of_ones_own(pytester):
    pytester.syspathinsert()
    pytester.makepyfile(
        mine="ops = {'relu': lambda x: x * (x > 0), 'gelu': lambda x: x * (x > 0)}",
        test_mine="""
            import oracle

            @oracle.gpt2_checks("mine", sizes="toy", examples=20)
            def test_gpt2(check):
                check()
            """,
    )
    done = pytester.runpytest_inprocess(*PLUGIN, "-v", "-k", "ops")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(
        [
            "test_mine.py::test_gpt2[[]ops/gelu[]] FAILED*",
            "test_mine.py::test_gpt2[[]ops/relu[]] PASSED*",
            "E  *CheckFailed: wrong: at *",
        ]
    )
