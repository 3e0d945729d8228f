"""llm.c's `.bin` files made by hand, good and bad, for the tests of npgpt.checkpoints._llmc.

From the description of the format: all of a kind of tensor, one layer after another, then all of
the next kind.
"""

import struct

MAGIC = 20240326
# positions, tokens, layers, heads, width, tokens with padding
SIZES = (3, 5, 2, 2, 4, 8)


def header(sizes=SIZES, *, magic=MAGIC, version=3, rest=(), order="<"):
    numbers = [magic, version, *sizes, *rest]
    return struct.pack(f"{order}256i", *numbers, *[0] * (256 - len(numbers)))


def count(sizes=SIZES):
    """The numbers in a file."""
    positions, _, layers, _, width, padded = sizes
    layer = 12 * width * width + 13 * width
    return (padded + positions + 2) * width + layers * layer


def bin_bytes(sizes=SIZES, *, numbers=None, more=b"", **options):
    """A file, of zeros unless the numbers' bytes are given."""
    itemsize = 2 if options.get("version") == 5 else 4
    data = bytes(itemsize * count(sizes)) if numbers is None else numbers
    return header(sizes, **options) + data + more
