"""Modules of a checkout, whose folder an environment variable names."""

import importlib
import os
import sys
from types import ModuleType


def module(variable: str, name: str) -> ModuleType:
    """The module `name` of the checkout at $variable. Raises KeyError where that is not set."""
    sys.path.insert(0, os.environ[variable])
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)
