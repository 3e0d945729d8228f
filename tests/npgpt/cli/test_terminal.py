"""What a stranger's characters do on a terminal: nothing."""

import os
import pickle
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from npgpt._cli.output import print_grid, print_table
from npgpt.checkpoints._safetensors import write_safetensors
from npgpt.tokenizer._files import load as load_tokenizer
from tests.helpers.command_line import process, run

HOSTILE = "To\x1b]52;c;eA==\x07\r\x9b2J\u202eeb\ttab\nline 👩\u200d👩"
ESCAPED = "To\\x1b]52;c;eA==\\x07\\r\\x9b2J\\u202eeb\ttab\nline 👩\u200d👩"
posix_only = pytest.mark.skipif(os.name != "posix", reason="terminals as POSIX has them")


def on_a_terminal(*argv: object, columns: int = 80) -> str:
    """What `npgpt ARGV` writes to a terminal."""
    import fcntl
    import termios

    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    # The terminal writes a line break as two characters, unless it is told not to.
    modes = termios.tcgetattr(its)
    modes[1] &= ~termios.OPOST
    termios.tcsetattr(its, termios.TCSANOW, modes)
    # A size in the environment, as pytest-xdist sets one, would come before the terminal's own.
    env = {"PYTHONIOENCODING": "utf-8", "COLUMNS": "", "LINES": ""}
    started = process(argv, stdout=its, env=env)
    os.close(its)
    data = b""
    try:
        while more := os.read(ours, 1 << 16):
            data += more
    except OSError:  # as Linux says that nobody holds the other end
        pass
    os.close(ours)
    _, err = started.communicate()
    assert (started.returncode, err) == (0, b"")
    return data.decode()


@posix_only
def test_text_is_escaped_on_a_terminal_and_nowhere_else(model: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(HOSTILE.encode())
    escape = load_tokenizer(model).encode("\x1b")
    asked = ["generate", "--model", model, "--file", tmp_path / "text", "--no-do-sample"]
    asked += ["--logit-bias", f"{escape[0]}=1e9", "--max-new-tokens", "1"]
    assert on_a_terminal(*asked) == ESCAPED + "\\x1b\n"
    assert on_a_terminal(*asked, "--raw") == HOSTILE + "\x1b\n"
    assert run(*asked).out == HOSTILE + "\x1b\n"
    several = [*asked, "--num-beams", "2", "--num-return-sequences", "2"]
    assert on_a_terminal(*several).startswith(f"--- 1 of 2 ---\n{ESCAPED}")
    ids = " ".join(map(str, load_tokenizer(model).encode(HOSTILE)))
    decode = ["tokenize", "--model", model, "--decode", ids]
    assert on_a_terminal(*decode) == ESCAPED + "\n"
    assert on_a_terminal(*decode, "--raw") == run(*decode).out == HOSTILE + "\n"


def test_no_name_draws_a_line_of_inspect(model: Path, tmp_path: Path) -> None:
    forged = "a\nsafe: yes\x1b[2J"
    folder = shutil.copytree(model, tmp_path / "model")
    write_safetensors(folder / "model.safetensors", {forged: np.zeros(3, np.float32)})
    ran = run("inspect", folder)
    assert "  a\\nsafe: yes\\x1b[2J\n" in ran.out
    assert "\x1b" not in ran.out + ran.err
    config = (folder / "generation_config.json").read_text().rstrip().rstrip("}")
    (model_copy := shutil.copytree(model, tmp_path / "other"))
    (model_copy / "generation_config.json").write_text(
        config + ', "a\\nsafe: yes": "\\u001b[2J\\nsafe: yes"}'
    )
    ran = run("inspect", model_copy)
    assert "  a\\nsafe: yes" in ran.out
    assert ran.out.count("\nsafe: ") == 1
    assert "\x1b" not in ran.out + ran.err


def test_no_name_in_a_pickle_draws_a_line_of_inspect(tmp_path: Path) -> None:
    module, name = b"os", b"x\nsafe: yes\x1b[2J"
    strings = b"".join(pickle.SHORT_BINUNICODE + bytes([len(s)]) + s for s in (module, name))
    (tmp_path / "bad.bin").write_bytes(pickle.PROTO + b"\4" + strings + pickle.STACK_GLOBAL + b".")
    ran = run("inspect", tmp_path / "bad.bin")
    assert ran.code == 2
    assert "nothing of it was used; its pickle names os.x\\nsafe: yes\\x1b[2J\n" in ran.out
    assert ran.out.count("\nsafe: ") == 1
    assert "\x1b" not in ran.out + ran.err


def test_a_table_counts_columns_and_not_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([("日本", "1"), ("e\u0301", "2"), ("a\tb", "3")], left=1)
    assert capsys.readouterr().out == "日本  1\ne\u0301     2\na\\tb  3\n"
    print_grid([["", "日本", "二"], ["a", "1", "2"]], width=10)
    assert capsys.readouterr().out == "   日本\na     1\n\n   二\na   2\n"


@posix_only
def test_a_grid_fits_the_terminal(model: Path) -> None:
    asked = ["lens", "--model", model, "--position", "all", "Shall I compare thee"]
    for width in (50, 120):
        lines = on_a_terminal(*asked, columns=width).splitlines()
        table = [line for line in lines if "0." in line]
        assert max(map(len, table)) <= width
    assert max(map(len, table)) > 80
