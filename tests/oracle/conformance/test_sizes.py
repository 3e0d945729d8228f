"""Which checks are asked at which size."""

from itertools import pairwise

import pytest

from oracle.conformance._catalogue import CHECKS, checks_at
from oracle.conformance._places import GPT2, GPT2_STEPS
from oracle.conformance._sizes import DEFAULT, SIZES, up_to_size
from oracle.pytest_gpt2 import OPTIONS


def test_each_size_includes_the_smaller_ones():
    for smaller, larger in pairwise(SIZES):
        assert set(checks_at(smaller)) <= set(checks_at(larger))
    assert checks_at(SIZES[-1]) == CHECKS
    assert checks_at() == checks_at(DEFAULT)
    assert {check.size for check in CHECKS} <= set(SIZES)


def test_gpt2s_own_shape_is_asked_once_and_only_where_it_is_asked_for():
    own = [check for check in CHECKS if check.size == "gpt2"]
    assert [(check.name, check.count) for check in own] == [("model/gpt2", 1), ("cache/gpt2", 1)]
    assert (GPT2.config["n_layer"], GPT2.config["n_embd"], GPT2.tokens) == (12, 768, 1024)
    assert GPT2_STEPS[0][0] is GPT2  # one reference for both
    assert not set(own) & set(checks_at())


def test_patterns_choose_within_a_size():
    assert {check.area for check in checks_at("toy", ["cache/*", "ops/gelu"])} == {"cache", "ops"}


def test_an_unknown_size_is_quoted():
    with pytest.raises(ValueError, match=r"no size is named 'huge'; the sizes are toy, borders"):
        up_to_size("huge")


def test_the_plugin_names_the_sizes_without_importing_them():
    assert all(size in OPTIONS["sizes"][1] for size in SIZES)
