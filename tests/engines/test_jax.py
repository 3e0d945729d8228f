"""JAX before the judge: `tox -e engines-jax`."""

import pytest

from oracle.conformance._program import main

pytest.importorskip("jax", reason="it is not installed; run `tox -e engines-jax`")


@pytest.mark.parametrize("check", ["model/logits", "model/flags", "model/padding"])
def test_jax_is_right(capfd, check):
    given = ["oracle.adapters.jax:subject", "--only", check, "--sizes", "toy"]
    assert main(["judge", *given, "--seed", "0", "--examples", "30"]) == 0
    assert "float32: RIGHT" in capfd.readouterr().out


def test_it_is_right_on_a_real_checkpoint(capfd):
    given = ["oracle.adapters.jax:subject", "--checkpoint", "weights/shakespeare"]
    assert main(["judge", *given, "--seed", "0", "--examples", "6", "--seconds", "120"]) == 0
    assert "checkpoint/logits " in capfd.readouterr().out
