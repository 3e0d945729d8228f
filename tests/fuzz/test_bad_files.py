"""The promise, held to every bad file of the tests' tables at once."""

import pytest

from npgpt.checkpoints._formats import FORMATS
from tests.helpers import fuzz_readers
from tests.helpers.bad_files import OF_FORMAT, bad_files, read

LEAST = 250


def test_how_many_there_are():
    assert sum(map(len, bad_files().values())) >= LEAST


def test_each_format_has_some():
    assert {row.name for row in FORMATS} == set(OF_FORMAT)
    assert all(len(bad_files()[kind]) > 5 for kind in OF_FORMAT.values())


@pytest.mark.parametrize("kind", bad_files())
def test_each_gives_one_error_that_names_it_soon_and_in_little_memory(tmp_path, kind):
    for files in bad_files()[kind]:
        size = b"".join(files.values())
        taken = fuzz_readers.examine(
            lambda folder, _, files=files: read(kind, folder, files), size, tmp_path
        )
        assert not taken, files
