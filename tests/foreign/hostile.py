"""A subject that attacks the judge as config["do"] says; its traces are at config["path"]."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from io import BytesIO

import numpy as np

ONES = np.ones((1, 1), np.float32)


class Trap:
    """A pickle that makes a file where it is loaded, and ends whoever does so with success."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"import os; open({self.path!r}, 'w').close(); os._exit(0)",)


def sink():
    """The pipe to the judge, which is a local of the process's main loop."""
    frame = sys._getframe()
    while "judge" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["judge"].sink


def write(*pieces):
    sink().write(b"".join(pieces))
    sink().flush()


def frame(message, arrays=b"", length=None):
    text = message if isinstance(message, bytes) else json.dumps(message).encode()
    sizes = len(text), len(arrays) if length is None else length
    return b"".join(n.to_bytes(8, "little") for n in sizes) + text + arrays


def npy(array):
    stream = BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def headed(header):
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def answered(content, **more):
    return frame({"answer": {"$array": [0, len(content)]}}, content, **more)


def pickled(path):
    body = pickle.dumps({"answer": Trap(path)})
    write(len(body).to_bytes(8, "little"), body)


def orphan(path):
    """Leaves a process in a session of its own, whose parent is gone, with an empty environment."""
    here = f"import os, time; open({path!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
    leave = (
        "import subprocess, sys; "
        "subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True, env={})"
    )
    subprocess.run([sys.executable, "-c", leave, here], check=True)
    while not (os.path.exists(path) and os.path.getsize(path)):
        time.sleep(0.01)


def kill_parent(path, kill=os.kill, of=lambda process: process):
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    kill(of(os.getppid()), signal.SIGKILL)


def flood(path):
    for stream in (1, 2):
        for _ in range(200):
            os.write(stream, b"\x1b[2Jflood\n" * 1000)


def raised(says):
    raise ValueError(says)


DEEDS = {
    "answer": lambda path: None,
    "pickle": pickled,
    "long": lambda path: write((2**62).to_bytes(8, "little"), bytes(8)),
    "long arrays": lambda path: write(frame({}, length=2**61)),
    "objects": lambda path: write(answered(npy(np.array([Trap(path)], object)))),
    "records": lambda path: write(answered(npy(np.zeros(1, [("a", int)])))),
    "texts": lambda path: write(answered(npy(np.array(["words"])))),
    "vast": lambda path: write(
        answered(headed(b"{'descr': '<f8', 'fortran_order': False, 'shape': (2**40,)}\n"))
    ),
    "huge": lambda path: write(
        answered(headed(b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,)}\n"))
    ),
    "negative": lambda path: write(
        answered(
            headed(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1)}\n") + bytes(8)
        )
    ),
    "no header": lambda path: write(answered(headed(b"__import__('os')._exit(0)\n"))),
    "nan": lambda path: write(frame(b'{"answer": {"$array": [NaN, Infinity]}}')),
    "outside": lambda path: write(frame({"answer": {"$array": [0, 99]}})),
    "tag": lambda path: write(frame({"answer": {"$object": 1}})),
    "deep": lambda path: write(frame(b"[" * 100_000)),
    "list": lambda path: write(frame([1, 2])),
    "no kind": lambda path: write(frame({"kind": "right", "says": "all is well"})),
    "no says": lambda path: write(frame({"kind": "raised", "says": {"a": 1}})),
    "no answer": lambda path: write(frame({"verdict": "right"})),
    "escapes": lambda path: raised("\x1b[2J\x9b31mred"),
    "zero": lambda path: os._exit(0),
    "exit": lambda path: sys.exit(0),
    "kill the group": lambda path: os.kill(0, signal.SIGKILL),
    "kill its parent": kill_parent,
    "kill its parent's group": lambda path: kill_parent(path, os.killpg, os.getpgid),
    "orphan": orphan,
    "flood": flood,
    "frames on stdout": lambda path: os.write(1, answered(npy(7 * ONES))),
}


def logits(config, weights, tokens, mask):
    DEEDS[config["do"]](config.get("path"))
    return ONES
