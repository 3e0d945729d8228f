"""One part has one name: what a command prints, `--at` and Python's functions take."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import npgpt
from npgpt.audit.sites import parse
from tests.helpers.command_line import output

TEXT = "Shall I shall I"
# A name as tables print it: at the start of a line, or after a number and "in", or before a number.
NAMED = r"(?:head \d+\.\d+|neuron \d+\.\d+|\w+_(?:bias|post|pre|out|mid|embedding)(?: \d+)?)"


def printed(fields: Any) -> Iterator[str]:
    """Every value of a key that names a part, anywhere in JSON."""
    if isinstance(fields, dict):
        for key, value in fields.items():
            if key in ("part", "depth", "settled_at"):
                yield value
            yield from printed(value)
    elif isinstance(fields, list):
        for value in fields:
            yield from printed(value)


@pytest.mark.parametrize(
    "command",
    [["audit"], ["attribute", "--neurons", "1"], ["lens", "--position", "all"]],
    ids=lambda command: command[0],
)
def test_every_name_in_json_and_tables_is_read_as_the_part_of_that_name(
    model: Path, command: list[str]
) -> None:
    config = npgpt.load(model).config
    argv = [*command, "--model", model, TEXT]
    names = {*printed(json.loads(output(*argv, "--json")))}
    assert len(names) >= 3
    shown = {*re.findall(NAMED, output(*argv))}
    assert len(shown & names) >= 3
    for name in names | shown:
        assert str(parse(config, name)) == name


def test_every_part_of_an_attribution_can_be_ablated_by_its_name(model: Path) -> None:
    parts = json.loads(output("attribute", "--model", model, TEXT, "--json"))["parts"]
    argv = ["patch", "--model", model, TEXT, "--ablate", "zero", "--json"]
    for part in parts:
        fields = json.loads(output(*argv, "--at", part["part"]))
        assert fields["places"] == [part["part"]]
        assert fields["values"] != fields["unpatched"], part


def test_the_page_has_no_names_of_its_own() -> None:
    from npgpt.audit.report import _page as page

    script = Path(page.__file__).with_name("page.html").read_text(encoding="utf-8")
    for name in ("attention bias", "MLP bias", "token embedding", "final norm bias", "layer ${h.l"):
        assert name not in script
