"""CTranslate2 before the judge: `tox -e engines-ctranslate2`."""

import pytest

from oracle.conformance._program import main

pytest.importorskip("ctranslate2", reason="it is not installed; run `tox -e engines-ctranslate2`")


@pytest.mark.parametrize("check", ["model/logits", "model/flags", "model/layers"])
def test_ctranslate2_is_right_in_all_that_it_claims(capfd, check):
    given = ["oracle.adapters.ctranslate2:subject", "--only", check, "--sizes", "toy"]
    assert main(["judge", *given, "--seed", "0", "--examples", "30"]) == 0
    assert "float32: RIGHT in all that it claims" in capfd.readouterr().out


def test_it_is_right_on_a_real_checkpoint(capfd):
    given = ["oracle.adapters.ctranslate2:subject", "--checkpoint", "weights/shakespeare"]
    assert main(["judge", *given, "--seed", "0", "--examples", "6", "--seconds", "120"]) == 0
    assert "checkpoint/logits " in capfd.readouterr().out
