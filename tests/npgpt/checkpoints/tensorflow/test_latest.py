import os

import pytest

from npgpt.checkpoints._tensorflow.sidecars import index_of
from npgpt.errors import CheckpointError
from tests.helpers.reader_refusals import check_refused
from tests.helpers.tensorflow_making import one, write


def naming(path):
    return f'model_checkpoint_path: "{path}"\nall_model_checkpoint_paths: "{path}"\n'


@pytest.fixture
def home(tmp_path):
    """A folder of one checkpoint, beside which there is another."""
    write(tmp_path, one())
    folder = tmp_path / "home"
    write(folder, one())
    return folder


def test_without_a_file_that_names_it(home):
    assert index_of(home) == home / "model.ckpt.index"


def test_nothing_there(tmp_path):
    assert index_of(tmp_path) is None
    (tmp_path / "books.index").write_bytes(b"no data beside it")
    (tmp_path / "checkpoint").mkdir()
    assert index_of(tmp_path) is None


def test_several(home):
    for suffix in ("index", "data-00000-of-00001"):
        (home / f"other-7.{suffix}").write_bytes((home / f"model.ckpt.{suffix}").read_bytes())
    with pytest.raises(CheckpointError, match=f"^{home}: 2 checkpoints.*'model.ckpt.index' and"):
        index_of(home)
    (home / "checkpoint").write_text(naming("other-7"))
    assert index_of(home) == home / "other-7.index"


def test_what_training_writes(home):
    (home / "checkpoint").write_text(
        'model_checkpoint_path: "model.ckpt"\r\n\n'
        'all_model_checkpoint_paths: "/elsewhere/model.ckpt-1"\n'
        "all_model_checkpoint_timestamps: 1700000000.25\nlast_preserved_timestamp: 1.7e+09\n"
    )
    assert index_of(home) == home / "model.ckpt.index"


BAD = {
    "empty": (b"", "the file is empty"),
    "blank": (b"\n", "model_checkpoint_path is there 0 times"),
    "no path": (b'all_model_checkpoint_paths: "model.ckpt"', "is there 0 times"),
    "two paths": (naming("model.ckpt").encode() * 2, "is there 2 times"),
    "the folder above": (naming("../model.ckpt").encode(), "at '../model.ckpt', which is not"),
    "this folder": (naming("./model.ckpt").encode(), "at './model.ckpt', which is not"),
    "a folder below": (naming("home/model.ckpt").encode(), "which is not a name in this"),
    "absolute": (naming("/etc/passwd").encode(), "at '/etc/passwd', which is not"),
    "a drive": (naming("C:model.ckpt").encode(), "which is not a name in this"),
    "an address": (naming("gs://bucket/model.ckpt").encode(), "which is not a name in this"),
    "NUL": (naming("model.ckpt\0").encode(), "which is not a name in this"),
    "dots": (naming("..").encode(), "which is not a name in this"),
    "not there": (naming("model").encode(), "names 'model', but there is no 'model.index'"),
    "no name": (naming("").encode(), "line 1 is"),
    "escapes": (rb'model_checkpoint_path: "\x2e\x2e/model.ckpt"', "line 1 is"),
    "no quotes": (b"model_checkpoint_path: model.ckpt", "line 1 is"),
    "two on a line": (b'model_checkpoint_path: "a" model_checkpoint_path: "b"', "line 1 is"),
    "unknown field": (naming("model.ckpt").encode() + b"more: 1", "line 3 is 'more: 1'"),
    "not UTF-8": (b'model_checkpoint_path: "\xff"', "not UTF-8 at byte 24"),
    "a pickle": (b"\x80\x02}q\x00.", "not UTF-8 at byte 0"),
    "too long": (b"\n" * 100_001, "100001 bytes long"),
}


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD)
def test_bad_files(home, text, said):
    (home / "checkpoint").write_bytes(text)
    check_refused(index_of, home, said, culprit=home / "checkpoint")


@pytest.mark.parametrize("name", ["checkpoint", "model.ckpt.index"])
def test_links_out_of_the_folder(home, name):
    (home.parent / "checkpoint").write_text(naming("model.ckpt"))
    (home / name).unlink(missing_ok=True)
    (home / name).symlink_to(home.parent / name)
    with pytest.raises(CheckpointError) as caught:
        index_of(home)
    assert str(caught.value).startswith(f"{home / name}: this symbolic link leaves its folder")


def test_a_pipe(home):
    os.mkfifo(home / "checkpoint")
    with pytest.raises(CheckpointError, match="checkpoint: not a regular file"):
        index_of(home)
