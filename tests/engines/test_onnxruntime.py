"""ONNX Runtime before the judge: `tox -e engines-onnxruntime`."""

import pytest

from oracle.conformance._program import main

pytest.importorskip("onnxruntime", reason="it is not installed; run `tox -e engines-onnxruntime`")
pytest.importorskip("onnx", reason="it is not installed; run `tox -e engines-onnxruntime`")


@pytest.mark.parametrize("check", ["model/logits", "model/flags", "model/layers"])
def test_onnx_runtime_is_right_in_all_that_it_claims(capfd, check):
    given = ["oracle.adapters.onnxruntime:subject", "--only", check, "--sizes", "toy"]
    assert main(["judge", *given, "--seed", "0", "--examples", "30"]) == 0
    assert "float32: RIGHT in all that it claims" in capfd.readouterr().out


def test_it_is_right_on_a_real_checkpoint(capfd):
    given = ["oracle.adapters.onnxruntime:subject", "--checkpoint", "weights/shakespeare"]
    assert main(["judge", *given, "--seed", "0", "--examples", "6", "--seconds", "120"]) == 0
    assert "checkpoint/logits " in capfd.readouterr().out
