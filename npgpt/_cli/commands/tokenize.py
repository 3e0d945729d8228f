"""`npgpt tokenize`: a text as token ids, and back."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from npgpt._cli.arguments import (
    add_model,
    add_raw,
    add_special,
    add_text,
    add_tokenizer,
    read_prompt,
)
from npgpt._cli.command import Command
from npgpt._cli.output import print_json, print_table, shown
from npgpt._gpt import default_model
from npgpt.checkpoints._loading import tokenizer_in
from npgpt.checkpoints._tokenizers import read_tokenizer
from npgpt.errors import TokenizerError
from npgpt.tokenizer._encoding import Tokenizer
from npgpt.tokenizer._files import TOKENIZER_JSON, VOCAB_AND_MERGES
from npgpt.tokenizer._pieces import piece, pieces

_EXAMPLES = """\
  npgpt tokenize "Shall I compare thee"
  npgpt tokenize --model ~/gpt2 --json --file letter.txt
  npgpt tokenize --decode "36 103"
      the text that these ids stand for
"""


def _add_arguments(parser: ArgumentParser) -> None:
    add_text(parser, "--decode", 'print the text that token ids stand for: "1 2 3"')
    add_model(parser)
    add_tokenizer(parser)
    add_special(parser)
    add_raw(parser)


def _run(arguments: Namespace) -> None:
    given = read_prompt(arguments)
    tokenizer = _tokenizer(arguments.tokenizer, arguments.model)
    tokens = (
        tokenizer.encode(given, allowed_special=arguments.allowed_special)
        if isinstance(given, str)
        else given
    )
    text = tokenizer.decode(tokens)
    if arguments.json:
        fields = {
            "tokens": tokens,
            "pieces": pieces(tokenizer, tokens),
            "offsets": tokenizer.offsets(tokens),
            "text": text,
        }
        print_json("tokenize", fields)
    elif isinstance(given, str):
        print_table([("id", "token"), *((str(t), piece(tokenizer, t)) for t in tokens)], left=0)
        print(f"\n{len(tokens)} tokens")
    else:
        print(shown(text, raw=arguments.raw))


def _tokenizer(given: Path | None, model: Path | None) -> Tokenizer:
    """The tokenizer alone: it needs no weights."""
    if given is not None:
        return read_tokenizer(given)
    folder = default_model() if model is None else model
    tokenizer = tokenizer_in(folder if folder.is_dir() else folder.parent)
    if tokenizer is None:
        pairs = (f"{vocab} with {merges}" for vocab, merges in VOCAB_AND_MERGES.items())
        names = ", ".join([TOKENIZER_JSON, *pairs])
        raise TokenizerError(f"{folder}: no tokenizer here; give a folder with one of {names}")
    return tokenizer


COMMAND = Command(
    name="tokenize",
    usage='("TEXT" | - | --file FILE | --decode IDS) [options]',
    summary="show a text as token ids, or token ids as a text",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
