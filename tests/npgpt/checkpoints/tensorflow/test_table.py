import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.checkpoints._tensorflow.table import table_entries
from npgpt.errors import CheckpointError
from tests.helpers.tensorflow_making import block, item, one_block, packed, table

keys = st.text("ab\x7f", max_size=6).map(str.encode)
contents = st.dictionaries(keys, st.binary(max_size=4), min_size=1, max_size=6)


@st.composite
def tables(draw):
    """What a table holds, and its bytes, in blocks that share and start afresh anyhow."""
    items = sorted(draw(contents).items())
    cuts = sorted(draw(st.sets(st.integers(1, len(items)), max_size=3)) - {len(items)})
    groups = [items[i:j] for i, j in zip([0, *cuts], [*cuts, len(items)], strict=True)]
    blocks = []
    for group in groups:
        written, starts, last, at = [], [0], b"", 0
        for i, (key, value) in enumerate(group):
            shared = 0
            if i and draw(st.booleans()):
                starts.append(at)
            elif i:
                common = next(
                    (n for n, (a, b) in enumerate(zip(last, key, strict=False)) if a != b),
                    min(len(last), len(key)),
                )
                shared = draw(st.integers(0, common))
            written.append(item(key, value, shared=shared))
            at += len(written[-1])
            last = key
        blocks.append(packed(written, starts=starts))
    return items, table(blocks, uppers=[group[-1][0] for group in groups])


@given(tables())
def test_what_is_written_is_read(made):
    items, data = made
    assert list(table_entries(data, "here")) == items


def test_one_entry():
    assert list(table_entries(one_block([(b"", b"x")]), "here")) == [(b"", b"x")]


@given(tables(), st.data())
def test_any_byte_changed(made, data):
    """Each byte but those of the empty block and of the zeros in the footer is checked."""
    items, good = made
    at = data.draw(st.integers(0, len(good) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != good[at]))
    bad = good[:at] + bytes([value]) + good[at + 1 :]
    try:
        found = list(table_entries(bad, "here"))
    except CheckpointError:
        return
    assert found == items


@given(st.lists(st.tuples(keys, st.binary(max_size=3)), min_size=1, max_size=5))
def test_keys_in_any_order(items):
    ordered = [key for key, _ in items] == sorted({key for key, _ in items})
    data = table([block(items)], uppers=[b"\xff" * 9])
    if ordered:
        assert list(table_entries(data, "here")) == items
    else:
        with pytest.raises(CheckpointError, match="is out of order, or there twice"):
            list(table_entries(data, "here"))
