"""What attention looks at: patterns (batch, head, query, key), the queries last of the keys."""

import torch
from torch import Tensor


def attention_entropy(pattern: Tensor) -> Tensor:
    """-Σ p ln p over the keys: (batch, head, query).

    Source: Shannon 1948, section 6; 0 ln 0 is 0.

    >>> attention_entropy(torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]])).mul(1e4).round().tolist()
    [[[0.0, 6931.0]]]
    """
    return torch.special.entr(pattern).sum(-1)


def attention_to_first(pattern: Tensor) -> Tensor:
    """What the first key gets: (batch, head, query).

    >>> attention_to_first(torch.tensor([[[[1.0, 0.0], [0.25, 0.75]]]])).tolist()
    [[[1.0, 0.25]]]
    """
    return pattern.unbind(-1)[0]


def attention_to_previous(pattern: Tensor) -> Tensor:
    """What the key before the query's own gets, NaN where there is none: (batch, head, query).

    It is the diagonal below the queries' own keys.

    >>> attention_to_previous(torch.tensor([[[[1.0, 0.0], [0.25, 0.75]]]])).tolist()
    [[[nan, 0.25]]]
    """
    query, key = pattern.shape[-2:]
    found = pattern.diagonal(key - query - 1, -2, -1)
    none = found.new_full((*found.shape[:-1], query - found.shape[-1]), torch.nan)
    return torch.cat([none, found], -1)


def induction_score(pattern: Tensor, tokens: Tensor) -> Tensor:
    """The mean over queries of what the keys get that follow an earlier copy of the query's token.

    tokens: (batch, key). Such a key follows the copy and stands before the query; a query without
    one does not count, and a row in which none counts gives NaN. Returns (batch, head). Source:
    Olsson et al. 2022, "In-context Learning and Induction Heads", "prefix matching score".

    >>> pattern = torch.tensor([[[[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0.0]]]])
    >>> induction_score(pattern, torch.tensor([[5, 6, 7, 5]])).tolist()
    [[1.0]]
    """
    query, key = pattern.shape[-2:]
    rows = []
    for p, row in zip(pattern, tokens.tolist(), strict=True):
        found = []
        for i in range(key - query, key):
            after = [j for j in range(1, i) if row[j - 1] == row[i]]
            if after:
                found.append(p[:, i - (key - query), after].sum(-1))
        none = p.new_full((len(p),), torch.nan)
        rows.append(torch.stack(found).mean(0) if found else none)
    return torch.stack(rows)
