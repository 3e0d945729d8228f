"""A file of weights that somebody cuts short while the model uses it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import npgpt
from npgpt.checkpoints._files import map_file
from npgpt.checkpoints._saving import save
from npgpt.errors import CheckpointError
from npgpt.model._paging import check_whole
from tests.helpers.checkpoint_making import TINY, random_parameters

PROGRAM = """
import os, sys
import npgpt
gpt = npgpt.load(sys.argv[1], memory=10**9 if sys.argv[2] == "memory" else None)
calls = {
    "logits": lambda: gpt.logits([1, 2]),
    "trace": lambda: gpt.trace([1, 2]),
    "score": lambda: gpt.score([1, 2]),
    "generate": lambda: gpt.generate([1, 2], max_new_tokens=1),
    "read": lambda: gpt.read([[1, 2]], None),
}
for call in calls.values():
    call()
os.truncate(os.path.join(sys.argv[1], "model.safetensors"), 100)
for name, call in calls.items():
    try:
        call()
    except npgpt.errors.CheckpointError as error:
        print(name, error)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let a mapped file be cut")
@pytest.mark.parametrize("how", ["plain", "memory"])
def test_each_call_says_so(tmp_path, how):
    save(tmp_path, TINY, random_parameters(TINY))
    size = (tmp_path / "model.safetensors").stat().st_size
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, tmp_path, how],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(npgpt.__file__).parents[1])},
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = (
        f"{tmp_path / 'model.safetensors'}: somebody cut it to 100 of {size} bytes while the model "
        "used it; get it again and load it again"
    )
    names = ("logits", "trace", "score", "generate", "read")
    assert done.stdout.splitlines() == [f"{name} {said}" for name in names]


def test_a_file_that_grows_is_whole(tmp_path):
    (tmp_path / "a").write_bytes(b"1234")
    mapped = map_file(tmp_path / "a")
    with (tmp_path / "a").open("ab") as file:
        file.write(b"5")
    check_whole([mapped])
    os.truncate(tmp_path / "a", 3)
    with pytest.raises(CheckpointError, match="a: somebody cut it to 3 of 4 bytes"):
        check_whole([mapped])
