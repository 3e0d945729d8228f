"""Fixtures for tests of checkpoints."""

import itertools
import os

import pytest


@pytest.fixture(scope="module")
def new_path(tmp_path_factory):
    """A function that gives a path at which there is nothing yet, another one at each call.

    Hypothesis forbids a folder that is new for each test, and writing over a file that exists is
    fifty times slower than making one, for some file systems then wait for the disk.
    """
    folder = tmp_path_factory.mktemp("scratch")
    numbers = itertools.count()
    return lambda suffix="": folder / f"{next(numbers)}{suffix}"


@pytest.fixture(scope="module", autouse=True)
def _no_waiting_for_the_disk():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield
