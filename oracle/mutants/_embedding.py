"""Bugs of the two ends of a model: embeddings, positions, the head, and what has to be refused."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from oracle import model
from oracle.mutants._mutant import Mutant
from oracle.mutants._wrapping import Call, changed, model_bug, reweighted, steered

_true_embedding = model.embedding


def _wpe(change: Callable[[Tensor], Tensor]) -> Callable[..., model.Output]:
    return reweighted(lambda weights, c: {"wpe.weight": change(weights["wpe.weight"])})


def _sinusoids(table: Tensor) -> Tensor:
    """Vaswani et al. 2017, section 3.5, in the shape of `table`."""
    rows, width = table.shape
    place = torch.arange(rows, dtype=torch.float64, device=table.device)[:, None]
    feature = torch.arange(width, dtype=torch.float64, device=table.device)
    angle = place / 10000 ** (2 * (feature // 2) / width)
    return torch.where(feature % 2 == 0, angle.sin(), angle.cos()).to(table.dtype)


def _head(change: Callable[[Tensor, Call], Tensor]) -> Callable[..., model.Output]:
    """A `forward` that changes the logits: change(logits, call)."""
    return steered(logits=lambda logits, layer, seen: change(logits, seen.call))


def _untied(call: Call) -> model.Output:
    """What `resize_token_embeddings` left behind: a head of its own, as initialised."""
    if not call.c["tie_word_embeddings"]:
        return call.run()
    table = call.weights["wte.weight"]
    rng = torch.Generator().manual_seed(0)
    head = 0.02 * torch.randn(table.shape, generator=rng, dtype=torch.float64)
    weights = {**call.weights, "lm_head.weight": head.to(table)}
    return call.run(weights=weights, config={**call.config, "tie_word_embeddings": False})


def _outside(number: Callable[[Call], Tensor]) -> Callable[..., model.Output]:
    return changed(lambda call: call.run(positions=number(call)))


def _ids(change: Callable[[Tensor, int], Tensor]) -> Callable[..., model.Output]:
    return changed(lambda call: call.run(tokens=change(call.tokens, call.c["vocab_size"])))


def _zero_outside(ids: Tensor, weight: Tensor) -> Tensor:
    inside = (ids >= 0) & (ids < len(weight))
    return _true_embedding(torch.where(inside, ids, 0), weight) * inside[..., None]


MUTANTS: tuple[Mutant, ...] = (
    model_bug(
        "wpe-missing",
        "no position embedding",
        "",
        effect="logits off by 10, perplexity × 2",
        severity="text",
        forward=_wpe(torch.zeros_like),
    ),
    model_bug(
        "wpe-off-by-one",
        "positions count from 1: each takes the next one's embedding",
        "",
        effect="logits off by 4.5, perplexity +6 %",
        severity="text",
        forward=_wpe(lambda table: table.roll(-1, 0)),
    ),
    model_bug(
        "wpe-sinusoidal",
        "sinusoidal position embeddings in place of the learned ones",
        "",
        effect="logits off by 19, perplexity × 46",
        severity="text",
        forward=_wpe(_sinusoids),
    ),
    model_bug(
        "wte-scaled",
        "token embeddings are multiplied by sqrt(n_embd), as in the 2017 transformer",
        "",
        effect="logits off by 8.9, perplexity +82 %",
        severity="text",
        forward=steered(token_embedding=lambda x, layer, seen: x * math.sqrt(x.shape[-1])),
    ),
    model_bug(
        "head-tied-though-untied",
        "the token embeddings are the head though the checkpoint has a head of its own",
        "state-spaces/mamba#211",
        effect="other logits altogether, where the head is untied",
        severity="text",
        forward=changed(lambda call: call.run(config={**call.config, "tie_word_embeddings": True})),
    ),
    model_bug(
        "head-untied-on-resize",
        "the tied head is initialised anew when the vocabulary grows",
        "huggingface/transformers#45079",
        effect="logits off by 19, perplexity × 60",
        severity="text",
        forward=changed(_untied),
    ),
    model_bug(
        "head-scaled",
        "the hidden state is divided by sqrt(n_embd) before a tied head, as in T5",
        "",
        effect="probabilities far too even: perplexity × 29, greedy text unchanged",
        severity="probabilities",
        forward=_head(
            lambda logits, call: (
                logits / math.sqrt(call.c["n_embd"]) if call.c["tie_word_embeddings"] else logits
            )
        ),
    ),
    model_bug(
        "logits-log-softmax",
        "log-probabilities are returned where logits are meant",
        "harvardnlp/annotated-transformer:the_annotated_transformer.py",
        effect="logits off by a constant in each row, text and probabilities unchanged",
        severity="probabilities",
        forward=_head(lambda logits, call: torch.log_softmax(logits, -1)),
    ),
    model_bug(
        "logits-last-only",
        "only the last position's logits are returned",
        "karpathy/nanoGPT:model.py",
        effect="nothing but the last position can be read",
        severity="text",
        forward=_head(lambda logits, call: logits[:, -1:]),
    ),
    model_bug(
        "vocabulary-padded",
        "the vocabulary is rounded up to a multiple of 64, and the logits are as many",
        "karpathy/nanoGPT:model.py",
        effect="tokens that do not exist take a share of the probability",
        severity="probabilities",
        forward=_head(lambda logits, call: F.pad(logits, (0, -logits.shape[-1] % 64))),
    ),
    model_bug(
        "context-wraps",
        "past n_positions the position starts again at 0, silently",
        "huggingface/transformers#4675",
        effect="rubbish past n_positions where an error is due",
        severity="long contexts",
        forward=_outside(lambda call: call.places % call.c["n_positions"]),
    ),
    model_bug(
        "context-clips",
        "past n_positions every token takes the last position, silently",
        "huggingface/transformers#4675",
        effect="rubbish past n_positions where an error is due",
        severity="long contexts",
        forward=_outside(lambda call: call.places.clamp(max=call.c["n_positions"] - 1)),
    ),
    model_bug(
        "id-clipped",
        "a token id past the vocabulary is taken for the last one",
        "NVIDIA/Megatron-LM#2570",
        effect="an id that does not exist is answered",
        severity="text",
        forward=_ids(lambda tokens, size: tokens.clamp(max=size - 1)),
    ),
    model_bug(
        "id-to-zero",
        "a token id outside the vocabulary is taken for token 0",
        "gittensor-ai-lab/sparkinfer#154",
        effect="an id that does not exist is answered",
        severity="text",
        forward=_ids(lambda tokens, size: torch.where((tokens >= 0) & (tokens < size), tokens, 0)),
    ),
    model_bug(
        "id-outside-is-nothing",
        "an id outside its table has no embedding, as a product with one-hot rows has it",
        "",
        effect="an id that does not exist is answered",
        severity="text",
        embedding=_zero_outside,
        _check_positions=lambda positions, limit: None,
    ),
)
