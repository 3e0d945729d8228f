"""`npgpt score`: how likely a text is."""

from argparse import ArgumentParser, Namespace

import numpy as np

from npgpt._cli.argument_types import natural
from npgpt._cli.arguments import (
    add_dtype,
    add_memory,
    add_model,
    add_special,
    add_text,
    add_tokenizer,
    load_model,
    read_prompt,
)
from npgpt._cli.command import Command
from npgpt._cli.output import print_json, print_table
from npgpt._gpt import GPT
from npgpt.model._score import Score, default_stride
from npgpt.tokenizer._pieces import piece, pieces

_EXAMPLES = """\
  npgpt score "Shall I compare thee to a summer's day?"
  npgpt score --add-bos "Shall I compare thee"
      the first token too, after the beginning-of-text token
  npgpt score --stride 64 --json --file hamlet.txt
      a long text, read in windows that advance by 64 tokens
"""


def _add_arguments(parser: ArgumentParser) -> None:
    add_text(parser, "--tokens", 'token ids instead of a text: "1 2 3"')
    add_model(parser)
    add_tokenizer(parser)
    add_special(parser)
    add_dtype(parser)
    add_memory(parser)
    parser.add_argument(
        "--stride",
        metavar="N",
        type=natural,
        help="a text longer than the context is read in windows that advance by N tokens: "
        "a smaller N is slower, and gives each token more before it (default: half the context)",
    )
    parser.add_argument(
        "--add-bos",
        action="store_true",
        help="put the model's beginning-of-text token first, so that the first token is scored",
    )


def _run(arguments: Namespace) -> None:
    text = read_prompt(arguments)
    gpt = load_model(arguments)
    window = gpt.config.n_positions
    stride = default_stride(gpt.config) if arguments.stride is None else arguments.stride
    score = gpt.score(
        text,
        stride=stride,
        add_bos=arguments.add_bos,
        allowed_special=arguments.allowed_special,
    )
    scored = int(np.count_nonzero(~np.isnan(score.log_probabilities)))
    if arguments.json:
        print_json(
            "score",
            {
                "tokens": score.tokens,
                "pieces": pieces(gpt.tokenizer, score.tokens),
                "logprobs": score.log_probabilities,
                "scored": scored,
                "total": score.total,
                "perplexity": score.perplexity,
                "window": window,
                "stride": stride,
            },
        )
        return
    _print_tokens(gpt, score)
    print(
        f"\n{scored} of {len(score.tokens)} tokens scored, in windows of at most {window} tokens"
        f" that advance by {stride}"
    )
    print(f"log-probability {score.total:.4f} (natural logarithm)")
    print(f"perplexity {score.perplexity:.4f}")


def _print_tokens(gpt: GPT, score: Score) -> None:
    rows = [("id", "log p", "token")]
    for token, logprob in zip(score.tokens, score.log_probabilities, strict=True):
        value = "-" if np.isnan(logprob) else f"{logprob:.4f}"
        rows.append((str(token), value, piece(gpt.tokenizer, token) if gpt.tokenizer else ""))
    print_table(rows, left=0)


COMMAND = Command(
    name="score",
    usage='("TEXT" | - | --file FILE | --tokens IDS) [options]',
    summary="give the log-probability of each token of a text, and its perplexity",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
