"""The tables of formats and dialects: each row is recognised, tested, fuzzed and documented."""

import pytest

from npgpt.checkpoints._dialects import DIALECTS
from npgpt.checkpoints._formats import FORMATS, format_name, read_file, recognise
from npgpt.errors import CheckpointError
from tests.helpers import dialects, format_tables, fuzz_readers, fuzz_seeds

NAMES = [row.name for row in FORMATS]
VALID = fuzz_seeds.valid()


def test_names_are_there_once():
    assert len(set(NAMES)) == len(NAMES)
    assert len({row.name for row in DIALECTS}) == len(DIALECTS)


@pytest.mark.parametrize("name", NAMES)
def test_each_format_is_fuzzed(name):
    reader = fuzz_readers.OF_FORMAT[name]
    assert reader in fuzz_readers.READERS
    assert fuzz_seeds.SEEDS[reader]()
    assert fuzz_seeds.WORDS[reader]


@pytest.mark.parametrize("name", NAMES)
def test_each_format_is_recognised_by_its_own_row_alone(tmp_path, name):
    path = tmp_path / ("a.index" if name == "TensorFlow bundle" else "a")
    path.write_bytes(VALID[name])
    data = path.read_bytes()
    of_the_name = [row for row in recognise(path) if row.is_one(data, path) and row.name == name]
    assert len(of_the_name) == 1
    assert format_name(path) == of_the_name[0].container or name
    try:
        form = read_file(path, check_sums=True).form
    except CheckpointError as error:
        form = name
        assert "missing 'a.data-00000-of-00001'" in str(error)  # noqa: PT017
    assert form == name


@pytest.mark.parametrize("name", [row.name for row in DIALECTS])
def test_each_dialect_has_examples(name):
    assert name in {expected for expected, _ in dialects.DIALECTS.values()}


def test_the_page_is_made_of_the_tables():
    text = format_tables.PAGE.read_text(encoding="utf-8")
    assert text == format_tables.page(text), "python -m tests.helpers.format_tables writes it"
