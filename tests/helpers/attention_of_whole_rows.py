"""Attention after shared keys, stated through attention over each row's keys in full."""


def on_whole_rows(attention, concatenate, source):
    """`attention`, given what rows share: each row's own keys and values after its prompt's.

    source (batch,): the prompt of each row. concatenate: np.concatenate, or torch.cat.
    """

    def gathered(q, shared_key, shared_value, key, value, **options):
        keys = concatenate([shared_key[source], key], 2)
        return attention(q, keys, concatenate([shared_value[source], value], 2), **options)

    return gathered
