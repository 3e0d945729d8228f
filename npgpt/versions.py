"""Versions of what computes: npgpt, NumPy, Python."""

import platform

import numpy as np


def versions() -> dict[str, str]:
    """The versions of what computes; npgpt's is unknown in a checkout that is not installed."""
    # Imported here because it takes a third of the time that npgpt's own modules do.
    from importlib import metadata

    try:
        own = metadata.version("npgpt")
    except metadata.PackageNotFoundError:
        own = "unknown"
    return {"npgpt": own, "numpy": np.__version__, "python": platform.python_version()}
