"""What `npgpt lens` prints for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from npgpt.audit.token_text import described, label
from npgpt.cli.output import print_grid, short
from npgpt.gpt import GPT

_RANK = "; rank 0 is the likeliest"


def print_one(gpt: GPT, found: Mapping[str, Any]) -> None:
    """Print one position: a line for each depth."""
    following, listed = found["next_token"], found["depths"]
    print(f"after position {found['position']}, {described(gpt, found['token'])}")
    top = max(1, *(len(each["tokens"]) for each in listed))
    head = ["depth", *(str(number) for number in range(1, top + 1))]
    rows = [head + (["next", "rank"] if following is not None else [])]
    for each in listed:
        cells = [_likely(gpt, each, number) for number in range(top)]
        if following is not None:
            cells += [_shown(each["next_probability"]), _ranked(each["next_rank"])]
        rows.append([each["depth"], *cells])
    print_grid(rows)
    print()
    if following is not None:
        print(f"next: the text's own next token, {described(gpt, following)}{_RANK}")
    if found["settled_at"] is None:
        print("the logits are NaN: the model has no answer")
    else:
        answer = described(gpt, listed[-1]["tokens"][0])
        print(
            f"final_post is the model's answer, {answer}, the likeliest from {found['settled_at']}"
        )


def print_all(gpt: GPT, found: Sequence[Mapping[str, Any]]) -> None:
    """Print all positions: a column for each, with the likeliest token at each depth."""
    names = [each["depth"] for each in found[0]["depths"]]
    columns = []
    for one in found:
        cells = []
        for each in one["depths"]:
            rank = "" if one["next_token"] is None else f" #{_ranked(each['next_rank'])}"
            cells.append(_likely(gpt, each, 0) + rank)
        token = short(label(gpt, one["token"]))
        columns.append([str(one["position"]), token, *cells, one["settled_at"] or "-"])
    rows = [["position", "token", *names, "settled"], *columns]
    print_grid(list(zip(*rows, strict=True)))
    print()
    print("each cell: the likeliest next token, its probability,")
    print(f"  #rank of the text's own next token{_RANK}")
    print("settled: the depth from which on the likeliest token is the model's answer, final_post")


def _likely(gpt: GPT, depth: Mapping[str, Any], number: int) -> str:
    if number >= len(depth["tokens"]):
        return "nan"
    token = short(label(gpt, depth["tokens"][number]))
    return f"{token} {_shown(depth['probabilities'][number])}"


def _shown(probability: float | None) -> str:
    return "nan" if probability is None else f"{probability:.3f}"


def _ranked(rank: int | None) -> str:
    return "-" if rank is None else str(rank)
