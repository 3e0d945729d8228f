"""Completion and man page, as tools/shell_files.py writes them from the parser."""

import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("shtab")
pytest.importorskip("argparse_manpage")

from npgpt._cli.program import COMMANDS
from tools.shell_files import COMPLETIONS, write


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shell")
    assert all(path.is_file() for path in write(folder))
    return folder


def test_the_man_page_has_every_command_and_option(written: Path) -> None:
    page = (written / "man/man1/npgpt.1").read_text(encoding="utf-8").replace("\\-", "-")
    for command in COMMANDS:
        assert f"npgpt {command.name}" in page
    for option in ("--max-new-tokens", "--model", "--json", "--ablate"):
        assert option in page
    if shutil.which("man"):
        read = subprocess.run(
            ["man", "--warnings", "-l", written / "man/man1/npgpt.1"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert not read.stderr
        assert "NPGPT(1)" in read.stdout


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash here")
def test_bash_completes_commands_and_options(written: Path) -> None:
    script = """
source "$1"
function complete_line() {
    COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
    "$(complete -p npgpt | sed 's/.*-F \\([^ ]*\\).*/\\1/')" npgpt "${COMP_WORDS[COMP_CWORD]}"
    echo "${COMPREPLY[@]}"
}
complete_line npgpt gen
complete_line npgpt generate --max
"""
    done = subprocess.run(
        ["bash", "-c", script, "bash", written / COMPLETIONS["bash"]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0] == "generate"
    assert "--max-new-tokens" in done.stdout.splitlines()[1]
    assert not done.stderr
