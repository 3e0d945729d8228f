"""A few of the fuzzer's runs, not guided: valid files with some bytes changed at random."""

import random
import time

import pytest

from npgpt.errors import CheckpointError
from tests.helpers import fuzz_readers
from tests.helpers.fuzz_readers import READERS, Finding, examine
from tests.helpers.fuzz_seeds import SEEDS, WORDS, mutated

RUNS = 300


@pytest.mark.parametrize("reader", READERS)
def test_an_answer_or_one_error_that_names_the_file(tmp_path, reader):
    rng, seeds, words = random.Random(reader), SEEDS[reader](), WORDS[reader]
    for _ in range(RUNS):
        data = mutated(seeds, words, rng)
        try:
            examine(READERS[reader], data, tmp_path)
        except Finding as finding:
            pytest.fail(f"{finding}\nfor {data!r}")


@pytest.mark.parametrize("reader", READERS)
def test_the_seeds_are_worth_starting_from(tmp_path, reader):
    taken = [examine(READERS[reader], seed, tmp_path) for seed in SEEDS[reader]()]
    assert any(taken)


def no_name(folder, data):
    raise CheckpointError("bad")


def endless(folder, data):
    raise CheckpointError(f"{folder}: {data * 9999!r}")


def greedy(folder, data):
    bytearray(2**27)[:: 2**12] = bytes(2**15)


def slow(folder, data):
    start = time.process_time()
    while time.process_time() < start + 0.1:
        pass


def raw(folder, data):
    return {}[data]


@pytest.mark.parametrize(
    ("reader", "said"),
    [(no_name, "names no file"), (endless, "an endless message"), (greedy, "bytes of memory"),
     (raw, "KeyError"), (slow, "takes 0.1 s")],
)  # fmt: skip
def test_what_is_a_finding(tmp_path, monkeypatch, reader, said):
    if reader is slow:
        monkeypatch.setattr(fuzz_readers, "MOST_SECONDS", 0.09)
    with pytest.raises(Finding, match=said):
        examine(reader, b"x", tmp_path)
