"""Shell completion and man page of `npgpt`, written from its parser.

    tox -e shell        # into build/shell

Completion for bash, zsh and tcsh is made by shtab, the page by argparse-manpage: libraries that
only whoever packages npgpt needs.
"""

import sys
from pathlib import Path

import shtab
from argparse_manpage.manpage import Manpage

from npgpt import __version__
from npgpt._cli.program import command_line

# Where each shell looks for it, below a prefix such as /usr/share.
COMPLETIONS = {
    "bash": "bash-completion/completions/npgpt",
    "zsh": "zsh/site-functions/_npgpt",
    "tcsh": "tcsh/npgpt.csh",
}


def man_page() -> str:
    """The manual page in roff: man 1 npgpt."""
    page = Manpage(command_line())
    page.manual, page.source = "npgpt's manual", f"npgpt {__version__}"
    return str(page)


def write(folder: Path) -> list[Path]:
    """Write the four files into a folder laid out as /usr/share is, and give their paths."""
    texts = {path: shtab.complete(command_line(), shell) for shell, path in COMPLETIONS.items()}
    texts["man/man1/npgpt.1"] = man_page()
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in texts]


if __name__ == "__main__":
    for written in write(Path(sys.argv[1])):
        print(written)
