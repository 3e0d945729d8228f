"""A file of known failures: what it may hold, and what is told of one that is wrong."""

import pytest

from oracle.adapters import NoSubject
from oracle.conformance._known_failures import read_known_failures

NAMES = ("cache/padding", "cache/one by one", "ops/gelu", "ops/relu")


def test_a_check_a_line_with_its_reason(tmp_path):
    file = tmp_path / "known.txt"
    file.write_text(
        "# of the adapter, 2 May\n\ncache/one by one: see https://example.org/12: slow\n"
        "  ops/gelu  :  erf  \n"
    )
    assert read_known_failures(file, NAMES) == {
        "cache/one by one": "see https://example.org/12: slow",
        "ops/gelu": "erf",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ops/gleu: erf", "line 1: there is no check 'ops/gleu'; the nearest is ops/gelu"),
        ("\nsomething", "line 2: there is no check 'something'; they are cache/padding, cache/on"),
        ("ops/gelu", "line 1: ops/gelu has no reason; write one after a colon"),
        ("ops/gelu: ", "line 1: ops/gelu has no reason; write one after a colon"),
        ("ops/gelu: a\nops/gelu: b", "line 2: ops/gelu stands there before, as 'a'; take one"),
        ("ops/*: all", "line 1: there is no check 'ops/*'"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(tmp_path, text, says):
    file = tmp_path / "known.txt"
    file.write_text(text)
    with pytest.raises(NoSubject) as caught:
        read_known_failures(file, NAMES)
    assert str(caught.value).startswith(f"{file}, {says}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_told(tmp_path):
    file = tmp_path / "known.bin"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(NoSubject, match=r"known\.bin is no UTF-8: invalid start byte at byte 0"):
        read_known_failures(file, NAMES)
