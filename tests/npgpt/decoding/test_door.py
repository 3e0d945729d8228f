"""The door of npgpt.decoding: its public names, and what looking at it costs."""

import inspect
import subprocess
import sys

import pytest

import npgpt.decoding
from npgpt.decoding import _decoders as decoders


@pytest.mark.parametrize("name", npgpt.decoding.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name):
    public = getattr(npgpt.decoding, name)
    assert name in dir(npgpt.decoding)
    if inspect.isclass(public) or inspect.isfunction(public):
        assert public.__doc__, name


def test_generate_is_the_function_whatever_was_imported_before():
    assert npgpt.decoding.generate is decoders.generate


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"'npgpt\.decoding' has no attribute 'generat'"):
        npgpt.decoding.generat  # noqa: B018


def test_the_door_alone_loads_no_decoder():
    script = "import sys, npgpt.decoding._validators; print('npgpt.decoding._beam' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
