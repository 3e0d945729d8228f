"""Fuzzing a reader of npgpt's, guided by what of its code each input reaches (`tox -e fuzz`).

    python -m tests.fuzz.run safetensors --runs 1000000 --corpus FOLDER

FOLDER is made; it takes what reached new code, from which the next call goes on, in READER/corpus,
the findings in READER/findings, and the counts in READER/progress.json, which the next call adds
to until they are --runs in all. Needs atheris. The command fails where something was found.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

_WRITTEN_EVERY = 20_000  # runs


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["npgpt.checkpoints", "npgpt.tokenizer"]):
        from tests.helpers import fuzz_readers
    from tests.helpers import fuzz_seeds

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("reader", choices=fuzz_readers.READERS)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--corpus", type=Path, required=True)
    arguments = parser.parse_args()
    home = arguments.corpus / arguments.reader
    corpus, findings, progress = (home / n for n in ("corpus", "findings", "progress.json"))
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    seeds = fuzz_seeds.SEEDS[arguments.reader]()
    for seed in seeds:
        (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    words = home / "words"
    words.write_text("\n".join(_spelled(word) for word in fuzz_seeds.WORDS[arguments.reader]))
    read = fuzz_readers.READERS[arguments.reader]
    counts = {"runs": 0, "taken": 0, "seconds": 0.0, "found": []}
    if progress.exists():
        counts |= json.loads(progress.read_text())
    warnings.simplefilter("error")
    start, before = time.monotonic(), dict(counts)
    scratch = Path(tempfile.mkdtemp())

    def write() -> None:
        counts["seconds"] = round(before["seconds"] + time.monotonic() - start, 1)
        progress.write_text(json.dumps(counts, indent=1) + "\n")

    def run(data: bytes) -> None:
        counts["runs"] += 1
        try:
            counts["taken"] += fuzz_readers.examine(read, data, scratch)
        except fuzz_readers.Finding as finding:
            what = str(finding).partition("\n")[0]
            if what not in counts["found"]:
                counts["found"].append(what)
                name = hashlib.sha1(data).hexdigest()
                (findings / name).write_bytes(data)
                (findings / f"{name}.txt").write_text(str(finding))
                write()
        done = counts["runs"] >= arguments.runs
        if done or counts["runs"] % _WRITTEN_EVERY == 0:
            write()
        if done:
            os._exit(1 if counts["found"] else 0)  # libFuzzer runs on otherwise, or tells lies

    options = [f"-max_len={max(map(len, seeds)) + 1000}", f"-dict={words}", "-timeout=1200",
               f"-artifact_prefix={findings}/", "-rss_limit_mb=4096", "-len_control=0"]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], run)
    atheris.Fuzz()


def _spelled(word: bytes) -> str:
    """A word as libFuzzer's dictionaries spell it."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"'


if __name__ == "__main__":
    main()
