import json

import pytest

from npgpt._config import RELEASED, from_json
from npgpt.checkpoints._tensorflow.sidecars import HPARAMS_FILE, read_hparams
from npgpt.errors import CheckpointError, ConfigError
from tests.helpers.make_tensorflow_bundles import HPARAMS

RELEASED_124M = {"n_vocab": 50257, "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12}
BAD = {
    "a list": ([], CheckpointError, "holds a list; expected a JSON object"),
    "a number": (1, CheckpointError, "holds a int"),
    "an empty object": ({}, ConfigError, "no n_vocab"),
    **{
        f"{name} {label}": (HPARAMS | {name: value}, ConfigError, f"{name} is {said}")
        for name in HPARAMS
        for label, value, said in (
            ("true", True, "True; expected a whole number"),
            ("null", None, "None; expected"),
            ("negative", -1, "-1; expected"),
            ("a fraction", 4.0, "4.0; expected"),
            ("a text", "4", "'4'; expected"),
            ("a list", [4], "a list; expected"),
            ("huge", 2**31, "2147483648; expected"),
            ("of 40 digits", 10**39, "an int; expected"),
        )
    },
    **{
        f"no {name}": (
            {key: value for key, value in HPARAMS.items() if key != name},
            ConfigError,
            f"no {name}; fetch it",
        )
        for name in HPARAMS
    },
    "no positions": (HPARAMS | {"n_ctx": 0}, ConfigError, "n_ctx is 0"),
    "no heads": (HPARAMS | {"n_head": 0}, ConfigError, "n_head is 0"),
    "heads that do not divide": (
        HPARAMS | {"n_head": 3},
        ConfigError,
        "n_head = 3 does not divide",
    ),
    "an endless number": (HPARAMS | {"n_ctx": 10**99}, CheckpointError, "a number of 100"),
}


@pytest.mark.parametrize(("fields", "error", "said"), BAD.values(), ids=BAD)
def test_bad_fields(tmp_path, fields, error, said):
    path = tmp_path / HPARAMS_FILE
    path.write_text(json.dumps(fields))
    with pytest.raises(error) as caught:
        read_hparams(tmp_path)
    assert type(caught.value) is error
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b'{"n_ctx":1,"n_ctx":2}', b"\xef\xbb\xbf{}"])
def test_not_one_json_object(tmp_path, text):
    path = tmp_path / HPARAMS_FILE
    path.write_bytes(text)
    with pytest.raises(CheckpointError) as caught:
        read_hparams(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")


def test_openais_own(tmp_path):
    assert read_hparams(tmp_path) is None
    (tmp_path / HPARAMS_FILE).write_text(json.dumps(RELEASED_124M))
    assert from_json(read_hparams(tmp_path)) == RELEASED["gpt2"]


def test_fields_of_later_versions_are_ignored(tmp_path):
    (tmp_path / HPARAMS_FILE).write_text(
        json.dumps(RELEASED_124M | {"res_dropout": 0.1, "x": [True]})
    )
    assert from_json(read_hparams(tmp_path)) == RELEASED["gpt2"]


def test_a_link_out_of_the_folder(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / HPARAMS_FILE).write_text(json.dumps(RELEASED_124M))
    (home / HPARAMS_FILE).symlink_to(tmp_path / HPARAMS_FILE)
    with pytest.raises(CheckpointError, match=r"hparams\.json: this symbolic link leaves"):
        read_hparams(home)
