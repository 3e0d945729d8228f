"""Bugs of a cache that need many tokens, long chunks or many rows to show."""

from unittest import mock

import torch
from torch import Tensor

from oracle import model
from oracle.mutants._cache_calls import both, hiding, index, later, placed, reading
from oracle.mutants._mutant import Mutant, Severity
from oracle.mutants._wrapping import Call, model_bug

LONG: Severity = "long contexts"
ROOM = 16  # a cache that grows has room for so many tokens at first


def _half_copied(call: Call, past: model.Past) -> model.Output:
    """Where a call takes the cache over its room, that doubles, and half of it is copied."""
    old, new = past.mask.shape[1], call.all_mask.shape[1]
    room = ROOM
    while room < old:
        room *= 2
    if old < ROOM or new <= room:
        return call.run()
    kept = index(past.mask) >= old // 2
    return call.run(past=both(lambda t: t * kept[:, None])(past), positions=call.places)


def _wrapped(past: model.Past) -> model.Past:
    """A table of pages has four entries of 16; the fifth page is the first again."""
    places = index(past.mask) % 64
    return both(lambda t: t[:, :, places])(past)


def _strided(tensor: Tensor) -> Tensor:
    """Room for a multiple of 64 was made, but a head is looked for after as many as are there."""
    size = tensor.shape[2]
    if size <= 64:
        return tensor
    padded = torch.nn.functional.pad(tensor, (0, 0, 0, -size % 64))
    return padded.flatten(1, 2)[:, : tensor.shape[1] * size].unflatten(1, (-1, size))


def _chunk_unmasked(call: Call, past: model.Past) -> model.Output:
    """New tokens of a chunk of over 16 all see each other."""
    if call.tokens.shape[1] <= 16:
        return call.run()

    def causal_mask(query: int, key: int, *, device: torch.device | None = None) -> Tensor:
        return torch.ones(query, key, dtype=torch.bool, device=device)

    with mock.patch("oracle.model.causal_mask", causal_mask):
        return call.run()


def _rows_of_others(tensor: Tensor) -> Tensor:
    rows = torch.arange(len(tensor), device=tensor.device)
    return tensor[rows % 8]


def _whole_pages(mask: Tensor) -> Tensor:
    size = mask.shape[1]
    return index(mask) < (size if size <= 64 else size // 64 * 64)


MUTANTS: tuple[Mutant, ...] = tuple(
    model_bug(id, bug, source, area="cache", effect=effect, severity=LONG, forward=forward)
    for id, bug, source, effect, forward in (
        (
            "cache-half-copied",
            "when the cache outgrows its room of 16, 32 … tokens, half of it is copied",
            "karpathy/nanochat#187",
            "texts lose their beginning at the 17th token",
            later(_half_copied),
        ),
        (
            "cache-pages-wrap",
            "the table of pages has four entries of 16 tokens, and wraps",
            "",
            "the 65th token overwrites the first",
            reading(_wrapped),
        ),
        (
            "cache-window-128",
            "the cache looks at the last 128 tokens only",
            "",
            "long texts forget their beginning",
            reading(hiding(lambda mask: index(mask) >= mask.shape[1] - 128)),
        ),
        (
            "cache-partial-page-dropped",
            "beyond 64 tokens, the cache's last page of 64 is not read where it is not full",
            "",
            "the latest tokens are forgotten",
            reading(hiding(_whole_pages)),
        ),
        (
            "cache-stride",
            "beyond 64 tokens, heads are read at the length's stride, and stored at the room's",
            "",
            "cached steps after the 64th token are noise",
            reading(both(_strided)),
        ),
        (
            "cache-long-chunk-unmasked",
            "a chunk of over 16 tokens after a cache is not masked",
            "tenstorrent/tt-metal#48899",
            "prompts in chunks see what comes after them",
            later(_chunk_unmasked),
        ),
        (
            "cache-position-8-bits",
            "positions after a cache are kept in 8 bits",
            "",
            "the 257th token stands at the first place",
            placed(lambda call, past: call.places % 256),
        ),
        (
            "cache-rows-beyond-8",
            "rows from the ninth on read the cache of the first ones",
            "",
            "larger batches repeat each other",
            reading(both(_rows_of_others)),
        ),
        (
            "cache-keys-512",
            "of the cache, the first 512 tokens are read",
            "",
            "long texts stop listening",
            reading(hiding(lambda mask: index(mask) < 512)),
        ),
    )
)
