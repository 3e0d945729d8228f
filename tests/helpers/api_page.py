"""docs/api.md: every public name, with its signature and the first line of its docstring.

    python -m tests.helpers.api_page        # writes the page

Read from the source, not from what is imported, so that types appear as they are written.
"""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "api.md"
PACKAGES = ("npgpt", "oracle")
LONGEST = 100  # characters of a constant's value
INTRODUCTION = """# API

Every public name, written by `python -m tests.helpers.api_page` from the packages' `__all__` and
docstrings: what stands here is kept or changed with notice, everything else may change at any
release. `help()` of a name says all of it."""


def page() -> str:
    """The whole page as Markdown."""
    sections = [section for package in PACKAGES for section in _sections(package)]
    return "\n\n".join([INTRODUCTION, *sections]) + "\n"


def public(module: str) -> list[str]:
    """The names in a module's `__all__`; empty where it has none."""
    for node in _tree(module).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def is_module(name: str) -> bool:
    """Whether a dotted name is a module or a package of this repository."""
    return _file(name) is not None


def defining_module(module: str, name: str) -> str:
    """The module in which a public name is defined, through every door that hands it on."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module != module:
            for alias in node.names:
                if (alias.asname or alias.name) == name and is_module(node.module):
                    return defining_module(node.module, alias.name)
    return module


def hands_on_module(module: str, name: str) -> bool:
    """Whether a public name is a module, and not what is named like the module that defines it."""
    return is_module(f"{module}.{name}") and defining_module(module, name) == module


def _sections(module: str) -> Iterator[str]:
    names = public(module)
    if not names:
        return
    documentation = ast.get_docstring(_tree(module)) or ""
    summary = documentation.split("\n\n")[0].replace("\n", " ")
    entries = [entry for name in names for entry in _entries(module, name)]
    yield f"## `{module}`\n\n{summary}\n\n" + "\n".join(entries)
    for name in names:
        if hands_on_module(module, name):
            yield from _sections(f"{module}.{name}")


def _entries(module: str, name: str) -> Iterator[str]:
    """The lines of one name: of a class also one for each public method."""
    if hands_on_module(module, name):
        documentation = ast.get_docstring(_tree(f"{module}.{name}")) or ""
        yield f"- `{name}`: {_first_sentence(documentation)}"
        return
    home = defining_module(module, name)
    node = _definition(home, name)
    if isinstance(node, ast.ClassDef):
        yield f"- `class {name}`: {_first_sentence(ast.get_docstring(node) or '')}"
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                yield f"  - `{_signature(method)}`: {_first_sentence(_doc(method))}"
    elif isinstance(node, ast.FunctionDef):
        yield f"- `{_signature(node)}`: {_first_sentence(_doc(node))}"
    elif node is not None:
        yield f"- `{_shown(node)}`{_comment(home, node)}"
    else:
        raise LookupError(f"{module}.{name} is public, but not defined in {home}")


def _signature(node: ast.FunctionDef) -> str:
    arguments = ast.unparse(node.args).removeprefix("self, ").removeprefix("self")
    if any(ast.unparse(decorator).endswith("property") for decorator in node.decorator_list):
        return f"{node.name}: {ast.unparse(node.returns) if node.returns else ''}"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{node.name}({arguments}){returns}"


def _shown(node: ast.Assign | ast.AnnAssign) -> str:
    """A constant: its name and its value, or its type where the value is long."""
    if isinstance(node, ast.Assign):
        text = ast.unparse(node)
        return text if len(text) <= LONGEST else f"{ast.unparse(node.targets[0])} = ..."
    text = ast.unparse(node).replace(": TypeAlias", "")
    if len(text) <= LONGEST:
        return text
    return f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}"


def _definition(module: str, name: str) -> ast.stmt | None:
    for node in ast.walk(_tree(module)):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return node
        if isinstance(node, ast.Assign) and name in _targets(node):
            return node
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name:
            return node
    return None


def _targets(node: ast.Assign) -> list[str]:
    target = node.targets[0]
    return [ast.unparse(part) for part in getattr(target, "elts", [target])]


def _doc(node: ast.FunctionDef) -> str:
    return ast.get_docstring(node) or ""


def _comment(module: str, node: ast.stmt) -> str:
    """The comment beside or above a constant, after a colon."""
    lines = _source(module).splitlines()
    beside = lines[node.lineno - 1].partition("  # ")[2]
    above = []
    for line in reversed(lines[: node.lineno - 1]):
        if not line.startswith("#"):
            break
        above.insert(0, line.removeprefix("# "))
    text = beside or " ".join(above)
    return f": {text}" if text else ""


def _first_sentence(documentation: str) -> str:
    """The first line of a docstring, or its first paragraph where a sentence goes on."""
    paragraph = " ".join(documentation.split("\n\n")[0].split())
    return re.split(r"(?<=[.:])\s(?=[A-Z`])", paragraph)[0]


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    for candidate in (path / "__init__.py", path.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


def _source(module: str) -> str:
    path = _file(module)
    assert path is not None, module
    return path.read_text(encoding="utf-8")


@functools.cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_source(module))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
