"""Which checks are asked at which size."""

from itertools import pairwise

import pytest

from oracle.conformance._catalogue import CHECKS, checks_at
from oracle.conformance._sizes import DEFAULT, SIZES, up_to_size
from oracle.pytest_gpt2 import pytest_addoption


def test_each_size_includes_the_smaller_ones():
    for smaller, larger in pairwise(SIZES):
        assert set(checks_at(smaller)) <= set(checks_at(larger))
    assert checks_at(SIZES[-1]) == CHECKS
    assert checks_at() == checks_at(DEFAULT)
    assert {check.size for check in CHECKS} <= set(SIZES)


def test_patterns_choose_within_a_size():
    assert {check.area for check in checks_at("toy", ["cache/*", "ops/gelu"])} == {"cache", "ops"}


def test_an_unknown_size_is_quoted():
    with pytest.raises(ValueError, match=r"no size is named 'huge'; the sizes are toy, borders"):
        up_to_size("huge")


def test_the_plugin_has_the_same_sizes_without_importing_them():
    added = {}

    class Group:
        def addoption(self, name, **options):
            added[name] = options

    class Parser:
        def getgroup(self, *_):
            return Group()

    pytest_addoption(Parser())
    assert added["--gpt2-sizes"]["choices"] == SIZES
    assert added["--gpt2-sizes"]["default"] == DEFAULT
