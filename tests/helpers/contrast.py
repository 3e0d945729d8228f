"""How well two colours are told apart, by WCAG 2.2."""

import re

READABLE = 4.5  # of text, level AA
SEEN = 3.0  # of what is no text


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours as CSS writes them, from 1 to 21.

    >>> round(contrast("#ffffff", "rgb(0, 0, 0)"), 3)
    21.0
    """
    light, dark = sorted(map(_luminance, (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def mix(one: str, share: float, other: str) -> str:
    """`color-mix(in srgb, one share, other)`."""
    mixed = [share * a + (1 - share) * b for a, b in zip(_parts(one), _parts(other), strict=True)]
    return "color(srgb {} {} {})".format(*mixed)


def _parts(colour: str) -> list[float]:
    """Red, green and blue, 0 to 1."""
    if colour.startswith("#"):
        return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    numbers = [float(word) for word in re.findall(r"[\d.]+(?:e-?\d+)?", colour)][:3]
    assert len(numbers) == 3, colour
    return numbers if colour.startswith("color(srgb") else [number / 255 for number in numbers]


def _luminance(colour: str) -> float:
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in _parts(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
