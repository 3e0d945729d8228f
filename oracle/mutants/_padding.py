"""Bugs of padding: what is real, who looks at it, and what position it has."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from oracle import model
from oracle.mutants._attention import variant
from oracle.mutants._mutant import Mutant
from oracle.mutants._wrapping import Call, changed, model_bug


def along(call: Call) -> Tensor:
    """The positions that columns have when padding counts: (batch, query)."""
    start = 0 if call.past is None else call.past.mask.shape[1]
    width = call.tokens.shape[1]
    places = torch.arange(start, start + width, device=call.tokens.device)
    return places.expand(call.tokens.shape)


def _attending(change: Callable[[Tensor], Tensor]) -> Callable[..., model.Output]:
    """A `forward` that looks at change(mask); positions, and the mask handed on, are right."""

    def run(call: Call) -> model.Output:
        past = call.past and replace(call.past, mask=change(call.past.mask))
        output = call.run(mask=change(call.mask), past=past, positions=call.places)
        return replace(output, past=replace(output.past, mask=call.all_mask))

    return changed(run)


def _counted(call: Call, *, left: bool) -> Tensor:
    """As many real tokens as there are, but all on one side."""
    place = torch.arange(call.mask.shape[1], device=call.mask.device)
    count = call.mask.sum(1, keepdim=True)
    return place >= len(place) - count if left else place < count


def _by_count(call: Call) -> model.Output:
    """In the row that is the last real token's stand the logits of row count - 1."""
    output = call.run()
    places = torch.arange(call.mask.shape[1], device=call.mask.device)
    count = call.mask.sum(1)
    last = torch.where(call.mask, places, -1).amax(1)
    rows = torch.arange(len(count), device=count.device)[count > 0]
    logits = output.logits.clone()
    logits[rows, last[rows]] = output.logits[rows, count[rows] - 1]
    return replace(output, logits=logits)


def _of_queries(scores: Tensor, mask: Tensor) -> Tensor:
    """Padding shuts out the queries that stand on it, and no keys."""
    query, key = scores.shape[-2:]
    real = mask.expand(scores.shape)[..., -1, key - query :, None]  # the last query sees all
    causal = mask.new_ones(query, key).tril(key - query)
    return scores.masked_fill(~(real & causal), float("-inf"))


MUTANTS: tuple[Mutant, ...] = (
    model_bug(
        "pad-takes-position",
        "pads consume positions",
        "huggingface/transformers#21080",
        effect="padded rows off by 7 in their logits; right unpadded",
        severity="text",
        forward=changed(lambda call: call.run(positions=along(call))),
    ),
    model_bug(
        "pad-unmasked",
        "pads are attended to",
        "TransformerLensOrg/TransformerLens#1005",
        effect="padded rows off by 12 in their logits; right unpadded",
        severity="text",
        forward=_attending(torch.ones_like),
    ),
    model_bug(
        "last-token-under-left-pad",
        "the last token's logits are read at the number of real tokens less one",
        "huggingface/transformers#46782",
        effect="padded rows go on from the wrong token; right unpadded",
        severity="text",
        forward=changed(_by_count),
    ),
    model_bug(
        "pad-mask-ignored",
        "the padding mask is not looked at at all",
        "yg211/bert_nli#3",
        effect="padded rows off by 12 in their logits; right unpadded",
        severity="text",
        forward=changed(lambda call: call.run(mask=torch.ones_like(call.mask))),
    ),
    model_bug(
        "pad-mask-inverted",
        "real tokens are masked, and pads attended to",
        "lucidrains/halonet-pytorch#6",
        effect="logits off by 13, perplexity × 2",
        severity="text",
        forward=_attending(torch.logical_not),
    ),
    model_bug(
        "pad-mask-of-queries",
        "the padding mask shuts out queries where it is to shut out keys",
        "hyunwoongko/transformer#40",
        effect="padded rows off by 13 in their logits; right unpadded",
        severity="text",
        attention=variant(masked=_of_queries),
    ),
    model_bug(
        "pad-taken-to-be-right",
        "only the number of real tokens is used, as if all padding were on the right",
        "",
        effect="rows padded on the left off by 12; right otherwise",
        severity="text",
        forward=changed(lambda call: call.run(mask=_counted(call, left=False))),
    ),
    model_bug(
        "pad-taken-to-be-left",
        "only the number of real tokens is used, as if all padding were on the left",
        "",
        effect="rows padded on the right are rubbish; right otherwise",
        severity="text",
        forward=changed(lambda call: call.run(mask=_counted(call, left=True))),
    ),
)
