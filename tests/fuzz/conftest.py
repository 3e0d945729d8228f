"""Fixtures for the fuzzer's tests."""

import itertools

import pytest


@pytest.fixture
def new_path(tmp_path):
    """A function that gives a path at which there is nothing yet, another one at each call."""
    numbers = itertools.count()
    return lambda: tmp_path / f"{next(numbers)}"
