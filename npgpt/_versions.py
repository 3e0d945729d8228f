"""Versions of what computes: npgpt, NumPy, Python."""

import platform

import numpy as np

from npgpt._version import __version__


def versions() -> dict[str, str]:
    """The versions of npgpt, NumPy and Python by name."""
    return {
        "npgpt": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
