"""`npgpt generate`: continue a text."""

import dataclasses
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import npgpt._gpt
from npgpt._cli import options
from npgpt._cli.argument_types import natural
from npgpt._cli.arguments import (
    add_dtype,
    add_memory,
    add_model,
    add_raw,
    add_special,
    add_text,
    add_tokenizer,
    load_model,
    read_prompt,
)
from npgpt._cli.command import Command
from npgpt._cli.commands.ledger_tables import print_ledger
from npgpt._cli.output import print_json, shown
from npgpt._gpt import GPT
from npgpt._versions import versions
from npgpt.audit.report._decisions import ledger_data
from npgpt.decoding._generation import Generation
from npgpt.errors import SettingError
from npgpt.tokenizer._encoding import Tokenizer, incremental_decoder

_EXAMPLES = """\
  npgpt generate "Shall I compare thee"
  npgpt generate --seed 7 --max-new-tokens 40 "Shall I compare thee"
      another continuation, and no longer than 40 tokens
  npgpt generate --no-do-sample --num-beams 5 --no-repeat-ngram-size 3 --max-new-tokens 40 "O"
      beam search, which repeats no three tokens
  npgpt generate --num-beams 8 --force-word summer --max-new-tokens 20 "Shall I compare thee"
      a continuation in which a word must come
  npgpt generate --explain --max-new-tokens 3 "To be"
      each decision: what was possible, what each setting left of it, what was drawn
  npgpt generate --json --tokens "464 3290" --model ~/gpt2
      token ids in; token ids, log-probabilities and settings out
"""


def _add_arguments(parser: ArgumentParser) -> None:
    add_text(parser, "--tokens", 'token ids instead of a text: "1 2 3"')
    add_model(parser)
    add_tokenizer(parser)
    add_special(parser)
    add_dtype(parser)
    add_memory(parser)
    add_raw(parser)
    parser.add_argument(
        "--seed",
        metavar="N",
        type=natural,
        default=0,
        help="what chance starts from, where tokens are drawn: same N, same text (default: 0)",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="print each decision as a table, and the text after it; with --json as data",
    )
    parser.add_argument(
        "--assistant",
        metavar="FOLDER",
        type=Path,
        help="a smaller model with the same tokens, whose guesses are checked several at a time: "
        "faster, and the same text",
    )
    parser.add_argument(
        "--negative-prompt", metavar="TEXT", help="with --guidance-scale: what to lead away from"
    )
    for option, meaning in (
        ("--force-word", "with beams: TEXT must come, with a space before it or without"),
        (
            "--bad-word",
            "TEXT must not come as the tokens that it is usually written in, with a space before "
            "it or without; other tokens, such as single letters, can still spell it",
        ),
    ):
        parser.add_argument(
            option, metavar="TEXT", action="append", default=[], help=f"{meaning}; repeatable"
        )
    options.add_settings(parser)


def _run(arguments: Namespace) -> None:
    prompt = read_prompt(arguments)
    if getattr(arguments, "output_scores", False) and not arguments.json:
        raise SettingError("--output-scores is given without --json, which shows them; add it")
    gpt = load_model(arguments)
    given = _settings(gpt, arguments)
    asked: dict[str, Any] = {"seed": arguments.seed, **given}
    asked["allowed_special"] = arguments.allowed_special
    if arguments.negative_prompt is not None:
        asked["negative_prompt"] = arguments.negative_prompt
    if arguments.assistant is not None:
        asked["assistant"] = npgpt._gpt.load(arguments.assistant, dtype=arguments.dtype)
    if arguments.json:
        _print_json(gpt, gpt.generate(prompt, **asked), given, arguments.seed)
    elif arguments.explain:
        generation = gpt.generate(prompt, **asked)
        print_ledger(gpt, generation)
        print()
        _print_rows(generation, arguments.raw)
    elif gpt.tokenizer is None or gpt.settings(**given).num_return_sequences > 1:
        _print_rows(gpt.generate(prompt, **asked), arguments.raw)
    else:
        text = prompt if isinstance(prompt, str) else _begun(gpt.tokenizer, prompt)
        _print_pieces(text, gpt.stream(prompt, **asked), arguments.raw)


def _settings(gpt: GPT, arguments: Namespace) -> dict[str, Any]:
    """The settings given, those that are given as words among them."""
    given = options.settings(arguments)
    if arguments.explain:
        given["output_ledger"] = True
    for word in arguments.force_word:
        given["force_words_ids"] = [*(given.get("force_words_ids") or []), _forms(gpt, word)]
    for word in arguments.bad_word:
        given["bad_words_ids"] = [*(given.get("bad_words_ids") or []), *_forms(gpt, word)]
    return given


def _forms(gpt: GPT, word: str) -> list[list[int]]:
    """A word as tokens: as it stands at the beginning of a line, and after a space."""
    if gpt.tokenizer is None:
        raise SettingError(f"the word {word!r} takes a tokenizer, and the model has none; give ids")
    if not word:
        raise SettingError(f"the word {word!r} is empty; give at least one character")
    return [gpt.tokenizer.encode(form) for form in (word, f" {word}")]


def _begun(tokenizer: Tokenizer, tokens: Sequence[int]) -> str:
    """The text of tokens without the character that they only begin: the stream has it whole."""
    decoder = incremental_decoder(tokenizer)
    return "".join(map(decoder.push, tokens))


def _print_pieces(text: str, pieces: Iterable[str], raw: bool) -> None:
    """Print the prompt, and each piece when it comes; the line ends whatever happens."""
    try:
        print(shown(text, raw=raw), end="", flush=True)
        for piece in pieces:
            print(shown(piece, raw=raw), end="", flush=True)
    finally:
        print(flush=True)


def _print_rows(generation: Generation, raw: bool) -> None:
    """Print all rows; where there are several, each under a line that counts them."""
    count = len(generation.sequences)
    for index, tokens in enumerate(generation.sequences):
        if count > 1:
            print(f"--- {index + 1} of {count} ---")
        text = generation.texts[index] if generation.texts else " ".join(map(str, tokens))
        print(shown(text, raw=raw))


def _print_json(gpt: GPT, generation: Generation, given: dict[str, Any], seed: int) -> None:
    fields = {
        "decoder": generation.decoder,
        "prompt_tokens": generation.sequences[0][: generation.prompt_lengths[0]],
        "sequences": [_sequence(generation, row) for row in range(len(generation.sequences))],
        "settings": dataclasses.asdict(gpt.settings(**given)),
        "seed": seed,
        "versions": versions(),
    }
    print_json(
        "generate", fields | ({"ledger": ledger_data(gpt, generation)} if generation.ledger else {})
    )


def _sequence(generation: Generation, row: int) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "new_tokens": generation.new_tokens[row],
        "text": generation.texts[row] if generation.texts else None,
        "logprobs": generation.logprobs[row],
        "stopped": generation.stopped[row],
    }
    if generation.sequence_scores is not None:
        fields["sequence_score"] = generation.sequence_scores[row]
    if generation.beam_indices is not None:
        fields["beam_indices"] = generation.beam_indices[row]
    if generation.scores is not None:
        fields["scores"] = generation.scores[row]
    return fields


COMMAND = Command(
    name="generate",
    usage='("TEXT" | - | --file FILE | --tokens IDS) [options]',
    summary="continue a text, printing it as it comes",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
