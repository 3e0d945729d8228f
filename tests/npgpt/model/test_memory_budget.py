"""Models within a memory: which parts are kept, what is refused, and that it truly holds."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import npgpt
from npgpt._config import Config
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._saving import save
from npgpt.errors import SettingError
from npgpt.model._forward import forward
from npgpt.model._paging import resident, within_memory
from npgpt.model._parameters import to_arrays, weights
from tests.helpers.checkpoint_making import random_arrays, random_parameters

PAGING = sys.modules[resident.__module__]
LINUX = pytest.mark.skipif(resident() is None, reason="no /proc/self/statm, or no madvise")
CONFIG = Config(vocab_size=300, n_positions=8, n_embd=16, n_head=2, n_layer=9)
OTHER = 10**6  # what the pretended process takes beside weights


class Process:
    """A pretended process, which takes OTHER and what it has looked at."""

    def __init__(self, monkeypatch, parameters):
        self.parameters = parameters
        self.looked_at = {}
        self.cache = 0
        monkeypatch.setattr(PAGING, "resident", self.resident)
        monkeypatch.setattr(PAGING, "release", lambda a: self.looked_at.pop(id(a), None))
        monkeypatch.setattr(PAGING, "is_mapped", lambda a: True)

    def resident(self):
        return OTHER + self.cache + sum(self.looked_at.values())

    def look_at(self, array):
        fresh = id(array) not in self.looked_at
        self.looked_at[id(array)] = array.nbytes
        return fresh

    def run(self, limited):
        """A pass; the most that was taken, and the layers that were read from the file."""
        most, read = 0, []
        self.look_at(limited.wte.weight)
        self.look_at(limited.wpe.weight)
        for layer, block in enumerate(limited.h):
            fresh = [self.look_at(array) for array in weights(block)]
            if any(fresh):
                read.append(layer)
            most = max(most, self.resident())
        self.look_at(limited.lm_head.weight)
        return max(most, self.resident()), read


@pytest.fixture
def process(monkeypatch):
    monkeypatch.setattr(PAGING, "_SLACK", 1000)
    return Process(monkeypatch, random_parameters(CONFIG))


def least(parameters):
    with pytest.raises(SettingError) as caught:
        within_memory(parameters, CONFIG, 1)
    return int(re.search(r"at least (\d+)", str(caught.value))[1])


def size_of(block):
    return sum(array.nbytes for array in weights(block))


def test_the_least_is_enough_and_one_byte_less_is_not(process):
    smallest = least(process.parameters)
    limited = within_memory(process.parameters, CONFIG, smallest)
    for _ in range(3):
        most, read = process.run(limited)
        assert most <= smallest
    assert len(read) >= CONFIG.n_layer - 1
    with pytest.raises(SettingError, match="at least"):
        within_memory(process.parameters, CONFIG, smallest - 1)


@pytest.mark.parametrize("more", range(1, 10))
def test_what_fits_stays_and_only_the_rest_is_read_again(process, more):
    layer = size_of(process.parameters.h[0])
    memory = least(process.parameters) + more * layer
    limited = within_memory(process.parameters, CONFIG, memory)
    assert process.run(limited)[1] == list(range(CONFIG.n_layer))
    for _ in range(3):
        most, read = process.run(limited)
        assert most <= memory
        assert read == list(range(more, CONFIG.n_layer))


def test_a_growing_cache_takes_the_place_of_layers(process):
    layer = size_of(process.parameters.h[0])
    memory = least(process.parameters) + 8 * layer
    limited = within_memory(process.parameters, CONFIG, memory)
    process.run(limited)
    reads = []
    for _ in range(4):
        process.cache += layer
        most, read = process.run(limited)
        # A copy of the cache would fit too.
        assert most <= memory - min(process.cache, limited.h.spare)
        reads.append(len(read))
    assert reads == sorted(reads)
    assert reads[-1] > reads[0]
    process.cache = memory
    with pytest.raises(SettingError, match="too little for so many tokens"):
        process.run(limited)


def test_layers_are_a_sequence(process):
    blocks = process.parameters.h
    limited = within_memory(process.parameters, CONFIG, 10**9)
    assert len(limited.h) == CONFIG.n_layer
    assert limited.h[2] is blocks[2]
    assert limited.h[1:3] == blocks[1:3]
    assert all(a is b for a, b in zip(limited.h, blocks, strict=True))
    found = to_arrays(limited)
    assert found.keys() == to_arrays(process.parameters).keys()


def test_listing_the_weights_makes_no_room(process):
    limited = within_memory(process.parameters, CONFIG, 10**9)
    to_arrays(limited)
    assert not limited.h.held


@pytest.mark.parametrize("memory", [0, -5, True, 1e9, "2GB"])
def test_no_number_of_bytes(process, memory):
    with pytest.raises(SettingError, match=re.escape(f"memory is {memory!r}; give a number")):
        within_memory(process.parameters, CONFIG, memory)


def test_weights_in_memory_are_refused():
    with pytest.raises(SettingError, match=r"wte\.weight is not a stretch of a file"):
        within_memory(random_parameters(CONFIG), CONFIG, 10**12)


def test_a_system_that_tells_nothing_is_refused(process, monkeypatch):
    monkeypatch.setattr(PAGING, "resident", lambda: None)
    with pytest.raises(SettingError, match="this system does not tell"):
        within_memory(process.parameters, CONFIG, 10**12)


LARGE = Config(vocab_size=512, n_positions=64, n_embd=384, n_head=6, n_layer=20)  # 144 MB
RUN = """
import hashlib, json, sys
import numpy as np, npgpt
gpt = npgpt.load(sys.argv[1], **json.loads(sys.argv[2]))
step = gpt.next_step([list(range(40))], None)
logits = [step.logits]
for _ in range(3):
    step = gpt.next_step([[7]], step.state)
    logits.append(step.logits)
scores = gpt.score(list(range(60))).log_probabilities
lines = dict(line.split(":") for line in open("/proc/self/status") if line.startswith("Vm"))
found = hashlib.sha256(np.concatenate(logits).tobytes() + scores.tobytes()).hexdigest()
print(json.dumps({"peak": int(lines["VmHWM"].split()[0]) * 1024, "found": found}))
"""


@pytest.fixture(scope="module")
def large_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    save(folder, LARGE, random_parameters(LARGE))
    return folder


def ran(folder, **options):
    command = [sys.executable, "-c", RUN, str(folder), json.dumps(options)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


@LINUX
def test_a_process_keeps_to_its_memory_and_computes_the_same_bits(large_model):
    free = ran(large_model)
    weights = sum(array.nbytes for array in random_arrays(LARGE).values())
    assert free["peak"] > weights
    memory = int(free["peak"] - weights / 2)
    kept = ran(large_model, memory=memory)
    assert kept["peak"] <= memory
    assert kept["found"] == ran(large_model, memory=10**12)["found"]


@LINUX
def test_too_little_memory_is_refused_at_once_with_what_works(large_model):
    with pytest.raises(SettingError) as caught:
        npgpt.load(large_model, memory=10**6)
    assert re.search(r"memory is 1000000 bytes; this model takes at least \d+: give \d+MB or more",
                     str(caught.value))  # fmt: skip


@LINUX
def test_in_this_process_too(large_model):
    tokens = np.arange(50)
    opened = load_checkpoint(large_model)
    logits = forward(tokens[None], opened.parameters, opened.config).logits
    assert np.array_equal(npgpt.load(large_model, memory=10**12).logits(tokens), logits)
