"""Sizes at which kernels, tables and buffers go wrong: at a power of two, one below, one above."""

POWERS = (16, 32, 64, 128, 256, 512, 1024)


def borders(*powers: int) -> tuple[int, ...]:
    """Each power (all of `POWERS` where none is given), one less, and one more.

    >>> borders(16, 1024)
    (15, 16, 17, 1023, 1024, 1025)
    """
    return tuple(power + by for power in powers or POWERS for by in (-1, 0, 1))
