"""Lazy imports (PEP 562): the public names of a package, each imported when first asked for."""

import importlib
from collections.abc import Callable, Mapping


def lazy(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """A package's `__getattr__`, for names that stand in the modules of the package named here.

    A name that is itself a module or a package stands in "".

    >>> __getattr__ = lazy("oracle", {"judge": "conformance", "ops": ""})
    >>> __getattr__("ops").__name__, callable(__getattr__("judge"))
    ('oracle.ops', True)
    """

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if modules[name]:
            return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)
        return importlib.import_module(f"{package}.{name}")

    return get
