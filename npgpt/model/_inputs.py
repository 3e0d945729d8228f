"""Validators: the tokens, masks and positions that a forward pass accepts."""

import numpy as np

from npgpt._arrays import Mask, Tokens
from npgpt.errors import ContextLengthError, PromptError


def checked_tokens(tokens: Tokens, mask: Mask | None) -> tuple[Tokens, Mask]:
    """Tokens and mask as arrays (batch, query); what stands at padding is replaced by id 0.

    Raises PromptError for tokens that are not whole numbers in at least one row and one column,
    and for a mask of another shape or of values other than 0 and 1.
    """
    tokens = np.asarray(tokens)
    if tokens.ndim != 2 or 0 in tokens.shape or tokens.dtype.kind not in "iu":
        raise PromptError(
            f"tokens are {tokens.dtype} of shape {tokens.shape}; "
            "give whole numbers (batch, query), at least one row and one column"
        )
    if mask is None:
        return tokens, np.ones(tokens.shape, dtype=bool)
    try:
        given = np.asarray(mask)
    except ValueError:
        raise PromptError(f"mask is {mask!r}; give rows of one length, {tokens.shape}") from None
    if given.shape != tokens.shape:
        raise PromptError(f"mask has shape {given.shape}; give the tokens' shape, {tokens.shape}")
    mask = given.astype(bool)
    if (mask != given).any():
        raise PromptError("mask holds something other than 0 and 1; give True for real tokens")
    return np.where(mask, tokens, 0), mask


def checked_positions(positions: Tokens, shape: tuple[int, ...], n_positions: int) -> Tokens:
    """Positions as an array of this shape, each of them 0 .. n_positions - 1."""
    positions = np.asarray(positions)
    if positions.shape != shape or positions.dtype.kind not in "iu":
        raise PromptError(
            f"positions are {positions.dtype} of shape {positions.shape}; "
            f"give whole numbers of the tokens' shape, {shape}"
        )
    if positions.min() < 0:
        raise PromptError(f"position {positions.min()} is negative; positions start at 0")
    if positions.max() >= n_positions:
        raise ContextLengthError(
            f"position {positions.max()} was asked for, but the model has n_positions = "
            f"{n_positions} (0 to {n_positions - 1}); shorten the text"
        )
    return positions
