"""`npgpt patch`: the same run again and again, each time with another part of it changed."""

from argparse import ArgumentParser, Namespace
from typing import Any

import numpy as np

from npgpt.arrays import quiet
from npgpt.audit import sweeps
from npgpt.audit.token_text import text_of, texts
from npgpt.cli import patching
from npgpt.cli.argument_types import natural, number, whole
from npgpt.cli.arguments import (
    add_prompt,
    add_token,
    check_distinct,
    load_model,
    prompt_tokens,
    read_prompt,
    read_token_pair,
)
from npgpt.cli.command import Command
from npgpt.cli.commands.attribute import likeliest
from npgpt.cli.output import print_json
from npgpt.cli.patch_tables import print_found
from npgpt.gpt import GPT
from npgpt.trace import compose

_EXAMPLES = """\
  npgpt patch "my lord and his" --from "my lady and his"
      TEXT is run with the residual stream of one layer and position taken from the run on --from:
      where does it matter? This is denoising where TEXT is the corrupted prompt and --from the
      clean one, noising the other way round (Zhang & Nanda 2023). Both have as many tokens
  npgpt patch "my lord and his" --from "my lady and his" --name mlp_out
      the same with what the MLPs add; any activation of a layer will do
  npgpt patch "my lord and his" --from "my lady and his" --heads
      the same with the output of each head, at all positions
  npgpt patch "To be, or not to" --token " be" --ablate zero
      without each head in turn
  npgpt patch "To be, or not to" --token " be" --ablate mean --at "head 5.3" --at "mlp 4"
      one run, with both at their mean over this text's positions
  npgpt patch "To be, or not to" --corrupt 0,1 --noise 0.5 --seed 7
      causal tracing (Meng et al. 2022): noise on two token embeddings, and the clean run's residual
      stream put back at one layer and position
"""


def _add_arguments(parser: ArgumentParser) -> None:
    add_prompt(parser)
    change = parser.add_argument_group(
        "what is put in place of a part (--from, --ablate or --corrupt)"
    )
    change.add_argument(
        "--from",
        dest="source",
        metavar="OTHER",
        help="the same part of the run on another text; ids, where TEXT is --tokens",
    )
    change.add_argument(
        "--ablate",
        choices=("zero", "mean"),
        help="nothing, or its mean over the positions of the run on --from (default: on TEXT)",
    )
    change.add_argument(
        "--corrupt",
        metavar="POSITIONS",
        type=_positions,
        help="the clean run's, in a run with noise on the token embeddings at these positions, "
        "as in 0,1 (write --corrupt=-1 for the last)",
    )
    change.add_argument(
        "--noise",
        metavar="SCALE",
        type=number,
        help="the noise's standard deviation (default: three times that of TEXT's token "
        "embeddings)",
    )
    change.add_argument(
        "--seed", metavar="N", type=natural, help="what draws the noise (default: 0)"
    )
    where = parser.add_argument_group("which parts (one of these)")
    where.add_argument(
        "--name",
        metavar="NAME",
        help="an activation of each layer, such as attn_out, one position in turn (default: "
        f"{patching.RESID}; with --ablate: --heads)",
    )
    where.add_argument(
        "--heads", action="store_const", const=True, help="the output of each head in turn"
    )
    where.add_argument(
        "--at",
        metavar="PLACE",
        action="append",
        help='these alone, all at once: "head 3.1", "mlp 4", "attn 4", "neuron 2.17", '
        '"resid_pre 3"; "mlp 4@5" is of position 5 alone; repeatable',
    )
    metric = parser.add_argument_group(
        "the metric, after the last position",
        "the probability of --token, or, with --against, the difference of the two logits",
    )
    add_token(metric, "the likeliest after TEXT")


def _positions(text: str) -> list[int]:
    return [whole(word) for word in text.replace(",", " ").split()]


def _run(arguments: Namespace) -> None:
    text = read_prompt(arguments)
    patching.check(arguments)
    gpt = load_model(arguments)
    row = prompt_tokens(gpt, text)
    found = readings(gpt, arguments, row)
    if arguments.json:
        print_json(found)
    else:
        print_found(gpt, found)


def readings(gpt: GPT, arguments: Namespace, row: list[int]) -> dict[str, Any]:
    """The metric of each changed run, as --json prints it.

    tokens and pieces of TEXT; change, "patch", "zero", "mean" or "restore", with what it takes
    (from_tokens, from_pieces; corrupted, noise, seed); metric, "probability" or "logit difference",
    with its token and against; sweep, over "positions" or "heads" of each layer of the activation
    name, or at places, all at once; unpatched, the metric of the run before parts are changed;
    target, that of the run that they are taken from; values, (layer, position), (layer, head) or
    one number; effects, of their shape: where there is a target, 0 for unpatched and 1 for target,
    null if these are equal, else value − unpatched.
    """
    groups, shape = patching.groups(gpt, arguments, len(row))
    token, against = read_token_pair(gpt, arguments)
    token = likeliest(gpt.trace(row, "logits")["logits"][0, -1]) if token is None else token
    check_distinct(gpt, token, against)
    metric = (
        sweeps.probability(token) if against is None else sweeps.logit_difference(token, against)
    )
    names = sorted({where.name for group in groups for where in group})
    with quiet():
        change = patching.change(gpt, arguments, row, names, metric)
        run = sweeps.runner(np.array([row]), gpt.parameters, gpt.config, metric)
        base = run(change.before)
        taps = (compose(*map(change.to, group)) for group in groups)
        values = sweeps.sweep(run, taps, before=change.before).reshape(shape)
        effects = patching.effects(values, base, change.target)
    return {
        "tokens": row,
        "pieces": texts(gpt, row),
        "change": change.kind,
        "from_tokens": change.other,
        "from_pieces": None if change.other is None else texts(gpt, change.other),
        "corrupted": change.corrupted,
        "noise": change.noise,
        "seed": change.seed,
        "metric": "probability" if against is None else "logit difference",
        "token": token,
        "piece": text_of(gpt, token),
        "against": against,
        "against_piece": None if against is None else text_of(gpt, against),
        "sweep": patching.swept(arguments),
        "name": names[0] if arguments.at is None else None,
        "places": arguments.at,
        "unpatched": base,
        "target": change.target,
        "values": values,
        "effects": effects,
    }


COMMAND = Command(
    name="patch",
    usage='("TEXT" | - | --file FILE | --tokens IDS) (--from OTHER | --ablate zero|mean | '
    "--corrupt POSITIONS) [options]",
    summary="change one part of a run after another, and show what that does to a next token",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
