"""The doors of npgpt.ops and npgpt.model: what is public there, by its own name."""

import pytest

import npgpt.model
import npgpt.ops

DOORS = pytest.mark.parametrize("door", [npgpt.ops, npgpt.model], ids=["ops", "model"])


@DOORS
def test_everything_public_is_a_thing_and_no_module(door):
    """Although a module of npgpt.ops has the name of its function: the function wins."""
    for name in door.__all__:
        assert callable(getattr(door, name)) or name == "ACTIVATIONS"


@DOORS
def test_everything_public_is_documented(door):
    for name in set(door.__all__) - {"ACTIVATIONS"}:
        assert getattr(door, name).__doc__
