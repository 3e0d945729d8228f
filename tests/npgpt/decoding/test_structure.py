"""The rooms of npgpt.decoding: no import circle, few floors, and none too many files.

Computed from every import statement, those under TYPE_CHECKING and in functions among them.
"""

import ast
import functools
from graphlib import TopologicalSorter
from pathlib import Path

import npgpt.decoding

FILES, FLOORS = 20, 8
FOLDER = Path(npgpt.decoding.__file__).parent
PACKAGE = "npgpt.decoding"


def rooms():
    """Each module of the package by name, and its file."""
    paths = sorted(FOLDER.rglob("*.py"))
    names = [".".join((PACKAGE, *path.relative_to(FOLDER).with_suffix("").parts)) for path in paths]
    return {name.removesuffix(".__init__"): path for name, path in zip(names, paths, strict=True)}


@functools.cache
def arrows():
    """For each module the modules of the package that it imports."""
    found = {}
    for name, path in rooms().items():
        imported = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert not node.level, f"{path} imports relatively"
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                modules = inside & set(rooms())
                imported |= modules if modules == inside else {node.module, *modules}
        found[name] = (imported & set(rooms())) - {name}
    return found


def floors():
    """How many modules stand on top of each other, at most, up to each one."""
    height = {}
    for name in TopologicalSorter(arrows()).static_order():  # raises CycleError for a circle
        height[name] = 1 + max((height[below] for below in arrows()[name]), default=0)
    return height


def test_no_module_imports_itself_by_way_of_others():
    assert set(floors()) == set(rooms())


def test_floors_are_few():
    """The door on top, which imports everything, is none."""
    height = {name: floor for name, floor in floors().items() if name != PACKAGE}
    assert max(height.values()) <= FLOORS, height


def test_nothing_is_imported_through_the_door():
    assert not [name for name, below in arrows().items() if PACKAGE in below]


def test_files_are_few():
    """The processors, one function a formula, are a package of their own."""
    outside = [name for name in rooms() if not name.startswith(f"{PACKAGE}._processors")]
    assert len(outside) <= FILES, outside
