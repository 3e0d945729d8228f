"""Language model as decoders see it: GPT-2's forward pass over its key-value cache.

Decoders hand over rows of any lengths and know neither cache nor padding (`LanguageModel`);
here the rows are padded on the left, masked, and read after what the cache holds.
"""

from __future__ import annotations

import dataclasses
import functools
import mmap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from npgpt._arrays import Array, Mask, Tokens
from npgpt._config import Config
from npgpt.decoding._language_model import Reading, State, Step, resumed
from npgpt.model._batch_invariant import RowCaches, batch_invariant_logits, batch_invariant_read
from npgpt.model._cache import Cache
from npgpt.model._forward import forward
from npgpt.model._paging import check_whole, mappings
from npgpt.model._parameters import Parameters, to_arrays
from npgpt.model._prefill import prefill


@dataclass(frozen=True, eq=False)
class CachedModel:
    """A model's weights, with the functions that decoders ask for. A state is its cache."""

    config: Config
    parameters: Parameters
    batch_invariant: bool = False

    def check_files(self) -> None:
        """Raise CheckpointError where a file that weights are mapped from was cut short since."""
        check_whole(self._mappings)

    def logits(self, tokens: Tokens, mask: Mask | None) -> Array:
        """Logits after each of tokens (batch, query): (batch, query, vocab)."""
        self.check_files()
        if self.batch_invariant:
            return batch_invariant_logits(tokens, self.parameters, self.config, mask=mask)
        return forward(tokens, self.parameters, self.config, mask=mask).logits

    def next_step(self, rows: Sequence[Sequence[int]], state: State | None) -> Step:
        """What follows the last token of each row, whose new tokens these are."""
        reading = self.read(rows, state, hidden=False)
        hidden = None if reading.hidden is None else reading.hidden[:, -1]
        return Step(reading.logits[:, -1], hidden, reading.state)

    def read(
        self,
        rows: Sequence[Sequence[int]],
        state: State | None,
        *,
        keep: int = 1,
        hidden: bool = True,
    ) -> Reading:
        """A `npgpt.decoding.LanguageModel`: the logits of each row's last `keep` tokens.

        And the hidden states of all new tokens; without `hidden` those of the last `keep`.
        """
        self.check_files()
        if self.batch_invariant:
            past = resumed(state, RowCaches)
            return Reading(
                *batch_invariant_read(
                    rows, self.parameters, self.config, past=past, logits_to_keep=keep
                )
            )
        tokens, mask = padded_left(rows)
        output = prefill(
            tokens,
            self.parameters,
            self.config,
            past=resumed(state, Cache),
            mask=mask,
            logits_to_keep=keep,
            hidden_to_keep=None if hidden else keep,
        )
        return Reading(output.logits, output.hidden, output.past)

    @functools.cached_property
    def _mappings(self) -> list[mmap.mmap]:
        layers = self.parameters.h[:]  # going through them could evict some
        return mappings(to_arrays(dataclasses.replace(self.parameters, h=layers)).values())


def padded_left(rows: Sequence[Sequence[int]]) -> tuple[Tokens, Mask]:
    """Rows of any lengths as tokens (rows, longest), and the mask of what is real among them.

    >>> padded_left([[5, 6], [7]])[0].tolist()
    [[5, 6], [0, 7]]
    """
    width = max(map(len, rows))
    tokens = np.array([[0] * (width - len(row)) + list(row) for row in rows])
    mask = np.array([[False] * (width - len(row)) + [True] * len(row) for row in rows])
    return tokens, mask
