"""`python -m oracle.bench` over a tiny model, end to end: what it prints, writes and refuses."""

import json
from importlib.util import find_spec

import pytest
import torch

from oracle.bench._contest import Absent, Setup
from oracle.bench._program import main
from oracle.bench._worker import Failed, Worker

TINY = ("--size", "tiny", "--runs", "1", "--threads", "1")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def bench(cache, capsys):
    def run(*arguments):
        try:
            code = main([*map(str, arguments), "--cache", str(cache)])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


def test_a_dry_run_measures_prints_and_writes(bench, tmp_path):
    data, picture = tmp_path / "bench.json", tmp_path / "bench.png"
    rows = ("decode-1/*", "prefill-16/*", "memory", "cold-start/*")
    code, out, _ = bench(*TINY, "--only", *rows, "--json", data, "--plot", picture)
    assert code == 0, out
    told = json.loads(data.read_text(encoding="utf-8"))
    found = {row["name"]: row for row in told["rows"]}
    assert (told["model"], told["threads"], told["runs"]) == ("tiny", 1, 1)
    for name in ("decode-1/pytorch", "prefill-16/pytorch"):
        assert found[name]["ratio"] > 0
        assert found[name]["verdict"] == "-"
    assert {found[name]["verdict"] for name in ("decode-1/limit", "memory")} <= {"met", "MISSED"}
    if find_spec("transformers") is None:
        assert found["decode-1/transformers"]["verdict"] == "not measured"
        assert "rows, transformers: transformers is not installed" in out
    assert told["measurements"]["npgpt"].keys() >= {"context-1000", "prefill-1024", "cold-start"}
    assert not told["failed"]
    assert all(name in out for name in found)
    assert "decide nothing" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "memory", "nothing*"], "no row fits --only 'nothing*'"),
        (["--runs", "0"], "'0' is not a number"),
        (["--size", "huge"], "huge"),
        (["--json", "no/such/folder/a.json"], "its folder is not there"),
    ],
)
def test_misuse(bench, arguments, message):
    code, out, err = bench(*TINY, *arguments)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(bench):
    code, out, err = bench("--device", "cuda")
    assert (code, out) == (2, "")
    assert err.startswith("bench: no GPU is to be had here")
    assert err.count("\n") == 1


def test_what_a_worker_cannot_do_is_told(cache):
    with Worker("limit", Setup(str(cache), "tiny"), threads=1) as worker:
        assert worker.measure("prefill-16").value > 0
        with pytest.raises(Failed, match="no-such-task"):
            worker.measure("no-such-task")
        assert worker.measure("xl-memory").value == 2e9
        worker._process.kill()
        with pytest.raises(Failed, match="its process ended with code -9"):
            worker.measure("prefill-16")
    with (
        pytest.raises(Absent, match=r"contestants\.nobody is not installed"),
        Worker("nobody", Setup(str(cache), "tiny"), threads=1),
    ):
        pass
