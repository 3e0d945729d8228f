import contextlib
import dataclasses
import io
import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt._cli.arguments import describe_tokens, read_token, resolve_position
from npgpt._cli.commands import attribute, lens, patch
from npgpt._cli.output import number, print_grid, signed
from npgpt._quoting import LONGEST
from npgpt.audit._token_text import described
from npgpt.checkpoints._saving import save
from npgpt.errors import SettingError
from tests.helpers.command_line import output
from tests.helpers.small_gpt import CONFIG, TOKENIZER, parameters, small_gpt


@given(st.integers(-12, 11), st.integers(1, 9))
def test_a_position_is_what_indexes_a_list(number: int, length: int) -> None:
    if -length <= number < length:
        assert resolve_position(number, length) == range(length)[number]
    else:
        with pytest.raises(SettingError, match=f"position {number} is not in the text"):
            resolve_position(number, length)


@given(st.integers(0, CONFIG.vocab_size - 1))
def test_a_token_is_read_from_its_text_and_from_its_id(token: int) -> None:
    gpt = small_gpt()
    assert read_token(gpt, str(token), "--token") == token
    data = TOKENIZER.decode_bytes([token])
    if data.isascii() and not data.isdigit():
        assert read_token(gpt, data.decode(), "--token") == token


def test_a_message_shows_twelve_tokens_and_counts_the_others() -> None:
    gpt = small_gpt()
    assert describe_tokens(gpt, [87] * 12).count("(id 87)") == 12
    assert describe_tokens(gpt, [87] * 14).endswith("(id 87) and 2 more")


def test_a_long_token_is_cut_in_a_message() -> None:
    tokenizer = dataclasses.replace(TOKENIZER, special_tokens={"x" * 10**5: 284})
    gpt = dataclasses.replace(small_gpt(), tokenizer=tokenizer)
    assert described(gpt, 284) == f"'{'x' * (LONGEST - 1)}… (id 284)"


@given(st.floats())
def test_no_number_makes_a_column_wide(value: float) -> None:
    assert number(value) in (f"{value:.4f}", f"{value:.4e}")
    assert max(len(number(value)), len(signed(value))) <= len("-10000000.0000")


@pytest.fixture(scope="module")
def padded_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with more rows of embeddings than its tokenizer has tokens."""
    config = dataclasses.replace(CONFIG, vocab_size=CONFIG.vocab_size + 19)
    folder = tmp_path_factory.mktemp("padded")
    save(folder, config, parameters(config), TOKENIZER)
    return folder


def test_an_id_that_the_tokenizer_lacks_is_shown_as_the_id(padded_model: Path) -> None:
    lacking = CONFIG.vocab_size
    argv = ["attribute", "--model", padded_model, "x", "--token", lacking]
    assert f"the logit of id {lacking}, " in output(*argv)
    assert json.loads(output(*argv, "--json"))["piece"] is None
    fields = json.loads(output("lens", "--model", padded_model, "x", "--json", "--top", "304"))
    depth = fields["positions"][0]["depths"][-1]
    named = dict(zip(depth["tokens"], depth["pieces"], strict=True))
    assert sorted(named) == list(range(lacking + 19))
    assert [token for token in named if named[token] is None] == [
        token for token in named if token >= lacking
    ]


EXAMPLES = [
    line.strip()
    for command in (lens.COMMAND, attribute.COMMAND, patch.COMMAND)
    for line in command.examples.splitlines()
    if line.startswith("  npgpt")
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_help_shows_runs(example: str) -> None:
    _, *argv = shlex.split(example)
    assert output(*argv)


@given(
    st.integers(1, 6).flatmap(
        lambda size: st.lists(
            st.lists(st.text("ab", max_size=7), min_size=size, max_size=size), min_size=1
        )
    ),
    st.integers(16, 40),
)
def test_a_grid_has_every_cell_and_no_line_is_too_wide(rows: list[list[str]], width: int) -> None:
    rows = [[f"r{number}", *(f"{cell}." for cell in row)] for number, row in enumerate(rows)]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        print_grid(rows, width=width)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for row in rows:
        mine = [line.split()[1:] for line in lines if line.split()[:1] == row[:1]]
        assert [cell for cells in mine for cell in cells] == row[1:]
