"""`npgpt patch`: activation patching, ablation and causal tracing, one part after another."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import Any

import numpy as np

from npgpt._cli.argument_types import natural, number, token_ids, whole
from npgpt._cli.arguments import (
    add_prompt,
    add_token,
    count_tokens,
    describe_tokens,
    load_model,
    prompt_tokens,
    read_prompt,
    read_token_pair,
    resolve_position,
)
from npgpt._cli.command import Command
from npgpt._cli.commands.patch_tables import print_tables
from npgpt._cli.output import print_json
from npgpt._gpt import GPT
from npgpt._quoting import brief, quoted
from npgpt.audit import _patching as patching
from npgpt.audit import sweeps
from npgpt.audit._next_token import check_distinct, likeliest_token
from npgpt.audit._patching import Change, Groups, PatchReading
from npgpt.audit._token_text import text_of, texts
from npgpt.audit.sites import parse
from npgpt.errors import PromptError, SettingError
from npgpt.trace import OUTSIDE_BLOCKS, check_place

_RESID = "resid_pre"
_POSITIONS, _HEADS, _SITES = "positions", "heads", "places"
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
        f"{_RESID}; with --ablate: --heads)",
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
    _check(arguments)
    gpt = load_model(arguments)
    row = prompt_tokens(gpt, text)
    groups = _groups(gpt, arguments, len(row))
    token, against = read_token_pair(gpt, arguments)
    if token is None:
        token = likeliest_token(gpt.trace(row, "logits")["logits"][0, -1])
    check_distinct(gpt, token, against)
    metric = (
        sweeps.probability(token) if against is None else sweeps.logit_difference(token, against)
    )
    names = sorted({site.activation for group in groups[0] for site in group})
    change = _change(gpt, arguments, row, names, metric)
    reading = patching.run_changed(gpt, row, change, groups, metric)
    fields = _fields(gpt, arguments, reading, names[0], token, against)
    if arguments.json:
        print_json("patch", fields)
    else:
        print_tables(gpt, fields)


def _fields(
    gpt: GPT,
    arguments: Namespace,
    reading: PatchReading,
    name: str,
    token: int,
    against: int | None,
) -> dict[str, Any]:
    change, source = reading.change, reading.change.source
    return {
        "tokens": reading.tokens,
        "pieces": texts(gpt, reading.tokens.tolist()),
        "change": change.kind,
        "from_tokens": source,
        "from_pieces": None if source is None else texts(gpt, source.tolist()),
        "corrupted": change.corrupted,
        "noise": change.noise,
        "seed": change.seed,
        "metric": "probability" if against is None else "logit difference",
        "token": token,
        "piece": text_of(gpt, token),
        "against": against,
        "against_piece": None if against is None else text_of(gpt, against),
        "sweep": _swept(arguments),
        "name": name if arguments.at is None else None,
        "places": arguments.at,
        "unpatched": reading.unpatched,
        "target": change.target,
        "values": reading.values,
        "effects": reading.effects,
    }


def _check(arguments: Namespace) -> None:
    """Raise SettingError for options that contradict each other."""
    change = _given(arguments, {"--from": "source", "--ablate": "ablate", "--corrupt": "corrupt"})
    if not change:
        raise SettingError(
            "nothing is given to put in place of a part; give --from OTHER, --ablate zero, "
            "--ablate mean or --corrupt POSITIONS"
        )
    if len(change) > 1 and (arguments.corrupt is not None or arguments.ablate == "zero"):
        raise SettingError(f"{' and '.join(change)} are given; give one of them")
    where = _given(arguments, {"--name": "name", "--heads": "heads", "--at": "at"})
    if len(where) > 1:
        raise SettingError(f"{' and '.join(where)} are given; give one of them")
    noise = _given(arguments, {"--noise": "noise", "--seed": "seed"})
    if noise and arguments.corrupt is None:
        raise SettingError(f"{' and '.join(noise)} given without --corrupt POSITIONS; add that")
    if arguments.noise is not None and not 0 < arguments.noise < np.inf:
        raise SettingError(f"--noise is {arguments.noise}; give a finite number above 0")


def _given(arguments: Namespace, options: dict[str, str]) -> list[str]:
    return [option for option, name in options.items() if getattr(arguments, name) is not None]


def _swept(arguments: Namespace) -> str:
    """Over what: "positions" of each layer, "heads" of each layer, or "places" all at once."""
    if arguments.at is not None:
        return _SITES
    is_heads = arguments.heads or (arguments.ablate is not None and arguments.name is None)
    return _HEADS if is_heads else _POSITIONS


def _groups(gpt: GPT, arguments: Namespace, length: int) -> Groups:
    """The sites that each run changes, and the shape of the table of runs."""
    config, over = gpt.config, _swept(arguments)
    if over == _SITES:
        return [[parse(config, text, length=length) for text in arguments.at]], ()
    name = _RESID if arguments.name is None else arguments.name
    if name in OUTSIDE_BLOCKS:
        raise SettingError(f"--name is {name!r}, which no layer has; give --at {name!r}")
    if config.n_layer == 0:
        raise SettingError("the model has no layers; give --at PLACE, as in 'token_embedding@0'")
    check_place(name, 0, config.n_layer)
    if over == _HEADS:
        return patching.each_head(config)
    return patching.each_position(config, name, length)


def _change(
    gpt: GPT, arguments: Namespace, row: list[int], names: list[str], metric: sweeps.Metric
) -> Change:
    if arguments.corrupt is not None:
        at = [resolve_position(number, len(row)) for number in arguments.corrupt]
        if not at or len(set(at)) < len(at):
            raise SettingError(
                f"--corrupt is {brief(arguments.corrupt)}; give at least one position, each once"
            )
        seed = 0 if arguments.seed is None else arguments.seed
        return patching.restored(gpt, row, at, names, metric, noise=arguments.noise, seed=seed)
    if arguments.ablate == "zero":
        return patching.ablated_to_zero(gpt)
    source = None if arguments.source is None else _source(gpt, arguments)
    if source is None or arguments.ablate == "mean":
        return patching.ablated_to_mean(gpt, row, names, source)
    if len(source) != len(row):
        raise PromptError(
            f"TEXT has {count_tokens(len(row))}, {describe_tokens(gpt, row)}; --from has "
            f"{len(source)}, {describe_tokens(gpt, source)}; give texts of as many tokens"
        )
    return patching.patched_from(gpt, row, source, names, metric)


def _source(gpt: GPT, arguments: Namespace) -> list[int]:
    """The tokens of --from."""
    source: str = arguments.source
    try:
        given = source if arguments.ids is None else token_ids(source)
    except ArgumentTypeError as error:
        raise PromptError(f"--from: {error}; TEXT is ids, so give ids") from None
    if not given:
        raise PromptError(f"--from {quoted(source)} holds nothing; give as many tokens as TEXT has")
    return prompt_tokens(gpt, given)


COMMAND = Command(
    name="patch",
    usage='("TEXT" | - | --file FILE | --tokens IDS) (--from OTHER | --ablate zero|mean | '
    "--corrupt POSITIONS) [options]",
    summary="change one part of a run after another, and show what that does to a next token",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
