"""Tokenizer files of a checkpoint folder, as OpenAI and Hugging Face name them."""

from collections.abc import Collection, Iterator, Mapping
from os import PathLike
from pathlib import Path

from npgpt._quoting import brief, quoted
from npgpt.errors import TokenizerError
from npgpt.tokenizer._characters import CharacterTokenizer
from npgpt.tokenizer._disk import read_object, read_text, reading, write_object, write_text
from npgpt.tokenizer._encoding import END_OF_TEXT, Tokenizer
from npgpt.tokenizer._merge import shared
from npgpt.tokenizer._tokenizer_config import TOKENIZER_CONFIG as TOKENIZER_CONFIG
from npgpt.tokenizer._tokenizer_config import check_agreement, read_tokenizer_config
from npgpt.tokenizer._tokenizer_json import compose_tokenizer_json, parse_tokenizer_json

TOKENIZER_JSON = "tokenizer.json"
# vocabulary -> its merges: Hugging Face's names and OpenAI's, for the same contents
VOCAB_AND_MERGES = {"vocab.json": "merges.txt", "encoder.json": "vocab.bpe"}
# {text: id} of special tokens besides END_OF_TEXT, for which a pair has no place
ADDED_TOKENS = "added_tokens.json"

_VERSION = "#version"


def load(folder: str | PathLike[str]) -> Tokenizer | None:
    """The tokenizer of a folder, or None where it holds no tokenizer's files.

    Of several, the first of: tokenizer.json, which alone says by which rules it encodes and is
    what transformers reads; vocab.json and merges.txt; encoder.json and vocab.bpe. In a pair,
    `<|endoftext|>` is special, and so are the tokens of an added_tokens.json beside it.

    Raises TokenizerError, with the file and the reason, for a file that cannot be read, does not
    make sense, or is not GPT-2's kind of tokenizer, a tokenizer_config.json included that has
    `add_prefix_space` or `add_bos_token`, or gives a token an id that these files do not give it.
    Nothing is guessed and nothing repaired.
    """
    folder = Path(folder)
    if (folder / TOKENIZER_JSON).exists():
        also = read_tokenizer_config(folder / TOKENIZER_CONFIG)
        document = read_object(folder / TOKENIZER_JSON)
        with reading(folder / TOKENIZER_JSON):
            return check_agreement(parse_tokenizer_json(document), also)
    for vocab, merges in VOCAB_AND_MERGES.items():
        present = [name for name in (vocab, merges) if (folder / name).exists()]
        if len(present) == 1:
            missing = merges if present == [vocab] else vocab
            raise TokenizerError(f"{folder / present[0]}: {missing} must be beside it")
        if present:
            also = read_tokenizer_config(folder / TOKENIZER_CONFIG)
            return _load_pair(folder / vocab, folder / merges, also)
    return None


def save(
    tokenizer: Tokenizer,
    folder: str | PathLike[str],
    *,
    forms: Collection[str] = (TOKENIZER_JSON, "vocab.json"),
) -> None:
    """Write the tokenizer's files, such that `load` and Hugging Face's tokenizers read the same.

    `forms` names the first file of each form to write, out of tokenizer.json, vocab.json (with
    merges.txt) and encoder.json (with vocab.bpe). With a pair goes an added_tokens.json where
    there are special tokens besides `<|endoftext|>`; where there are none, one that is there is
    removed. Files of these names are written over. The folder is made if need be.

    Raises TokenizerError for another name in `forms`, and for a tokenizer of characters, which
    these files cannot hold.
    """
    if isinstance(tokenizer, CharacterTokenizer):
        raise TokenizerError(
            f"{tokenizer} cannot be written as {TOKENIZER_JSON}, which is of byte pairs; save the "
            "model without it, and give meta.pkl where the model is used"
        )
    if not set(forms) <= {TOKENIZER_JSON, *VOCAB_AND_MERGES}:
        raise TokenizerError(
            f"forms is {brief(forms)}; give some of {[TOKENIZER_JSON, *VOCAB_AND_MERGES]}"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if TOKENIZER_JSON in forms:
        write_object(folder / TOKENIZER_JSON, compose_tokenizer_json(tokenizer))
    for vocab, merges in VOCAB_AND_MERGES.items():
        if vocab in forms:
            _save_pair(tokenizer, folder / vocab, folder / merges)


def _load_pair(vocab_file: Path, merges_file: Path, also: Mapping[str, str]) -> Tokenizer:
    vocab = read_object(vocab_file)
    special = {END_OF_TEXT: vocab.pop(END_OF_TEXT)} if END_OF_TEXT in vocab else {}
    files = [vocab_file, merges_file]
    added_file = vocab_file.with_name(ADDED_TOKENS)
    if added_file.exists():
        files.append(added_file)
        added = read_object(added_file)
        with reading(added_file, vocab_file):
            for token, id_ in added.items():
                vocab_id = special.get(token, vocab.pop(token, id_))
                if vocab_id != id_:
                    raise TokenizerError(
                        f"{quoted(token)} has both id {brief(id_)} and {brief(vocab_id)}"
                    )
                special[token] = id_
    lines = read_text(merges_file)
    with reading(merges_file):
        merges = shared(_parse_merges(lines), vocab)
    with reading(*files):
        return check_agreement(Tokenizer(vocab, merges, special), also)


def _save_pair(tokenizer: Tokenizer, vocab_file: Path, merges_file: Path) -> None:
    added = dict(tokenizer.special_tokens)
    vocab = dict(tokenizer.vocab)
    if END_OF_TEXT in added:
        vocab[END_OF_TEXT] = added.pop(END_OF_TEXT)
    write_object(vocab_file, vocab)
    lines = [f"{_VERSION}: 0.2", *(f"{left} {right}" for left, right in tokenizer.merges), ""]
    write_text(merges_file, "\n".join(lines))
    if added:
        write_object(vocab_file.with_name(ADDED_TOKENS), added)
    else:
        vocab_file.with_name(ADDED_TOKENS).unlink(missing_ok=True)


def _parse_merges(text: str) -> Iterator[tuple[str, str]]:
    r"""The pairs of a merges.txt: two tokens a line, after a first line that names a version.

    OpenAI's encoder and transformers leave out the first line whatever it is, and what follows the
    last line break; Hugging Face's tokenizers read both. So there must be no merge in either place.

    >>> list(_parse_merges("#version: 0.2\nĠ t\n# #\n"))
    [('Ġ', 't'), ('#', '#')]
    """
    text = text.replace("\r\n", "\n")
    if "\r" in text:
        raise TokenizerError(
            "a carriage return without a line feed, at which some programs begin a line and "
            "others do not; end each line with a line feed"
        )
    *lines, last = text.split("\n")
    unread = "which OpenAI's encoder and transformers leave out, and tokenizers does not"
    for number, line in enumerate([*lines, *([last] if last else [])], start=1):
        if number == 1 and (line.startswith(_VERSION) or not line):
            continue
        left, _, right = line.partition(" ")
        if not left or not right or " " in right:
            raise TokenizerError(
                f"line {number} is {quoted(line)}; expected two tokens and one space"
            )
        if number == 1:
            raise TokenizerError(
                f"line 1 is the merge {quoted(line)}, {unread}; put a line '{_VERSION}: 0.2' first"
            )
        if number > len(lines):
            raise TokenizerError(
                f"line {number} is the merge {quoted(line)} without a line break, {unread}; end "
                "the file with one"
            )
        yield left, right
