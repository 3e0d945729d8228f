"""`npgpt generate`: continue a text."""

import dataclasses
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable

from npgpt.cli import inputs, options
from npgpt.cli.command import Command
from npgpt.cli.output import print_json, versions
from npgpt.errors import SettingError
from npgpt.gpt import GPT, Prompt

_EXAMPLES = """\
  npgpt generate "Shall I compare thee"
  npgpt generate --seed 7 --max-new-tokens 40 "Shall I compare thee"
      another continuation, and no longer than 40 tokens
  npgpt generate --no-do-sample --model ~/gpt2 --file letter.txt
      the likeliest continuation of a file, by another model
  npgpt generate --json --tokens "464 3290" --model ~/gpt2
      token ids in; token ids, log-probabilities and settings out
"""


def _add_arguments(parser: ArgumentParser) -> None:
    inputs.add_text(parser, "--tokens", 'token ids instead of a text: "1 2 3"')
    inputs.add_model(parser)
    inputs.add_dtype(parser)
    parser.add_argument(
        "--seed",
        metavar="N",
        type=inputs.natural,
        default=0,
        help="what chance starts from: the same N, the same text (default: 0)",
    )
    options.add_settings(parser)


def _run(arguments: Namespace) -> None:
    prompt = inputs.read(arguments)
    if getattr(arguments, "output_scores", False) and not arguments.json:
        raise SettingError("--output-scores is given without --json, which shows them; add it")
    gpt = inputs.load(arguments)
    if arguments.json:
        _print_json(gpt, prompt, arguments)
    elif gpt.tokenizer is None:
        found = gpt.generate(prompt, seed=arguments.seed, **options.settings(arguments))
        print(*found.sequences[0])
    else:
        pieces = gpt.stream(prompt, seed=arguments.seed, **options.settings(arguments))
        _print_pieces(prompt if isinstance(prompt, str) else gpt.tokenizer.decode(prompt), pieces)


def _print_pieces(text: str, pieces: Iterable[str]) -> None:
    """Print the prompt, and each piece when it comes; the line ends whatever happens."""
    try:
        print(text, end="", flush=True)
        for piece in pieces:
            print(piece, end="", flush=True)
    finally:
        print(flush=True)


def _print_json(gpt: GPT, prompt: Prompt, arguments: Namespace) -> None:
    given = options.settings(arguments)
    found = gpt.generate(prompt, seed=arguments.seed, **given)
    (tokens,), (length,) = found.sequences, found.prompt_lengths
    fields = {
        "prompt_tokens": tokens[:length],
        "new_tokens": tokens[length:],
        "text": found.texts[0] if found.texts else None,
        "logprobs": found.logprobs[0],
        "stopped": found.stopped[0],
        "settings": dataclasses.asdict(gpt.settings(**given)),
        "seed": arguments.seed,
        "versions": versions(),
    }
    print_json(fields | ({"scores": found.scores[0]} if found.scores else {}))


COMMAND = Command(
    name="generate",
    usage='("TEXT" | - | --file FILE | --tokens IDS) [options]',
    summary="continue a text, printing it as it comes",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
