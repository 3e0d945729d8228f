"""Sampling mutants: which small changes of npgpt's source the tests are held to.

Cosmic Ray knows eleven replacements for one `+` and most of them fail at once, so a draw among all
its mutants would be a draw among sums. Here a place in the source is drawn first, then one of the
changes that can be made there. Left out are changes that no test can be asked about: those of type
annotations, what Python cannot compile, and what computes the same: `is` for `==` of small numbers
and of what is one object, `/` for the `*` of a signature, a function without its cache, and the
sizes from which another kernel is faster.
"""

import ast
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from cosmic_ray.commands.init import _all_work_items
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_item import MutationSpec, WorkItem

Span = tuple[tuple[int, int], tuple[int, int]]
# Between two that are equal where numbers are small, or one object.
ALIKE = ("_Eq_Is", "_Is_Eq", "_NotEq_IsNot", "_IsNot_NotEq")
FASTER_FROM = "thresholds.py"  # each kernel is tested on both sides of each
CACHES = ("functools.cache", "functools.lru_cache", "cached_property")
# Ways to change one thing: "ReplaceBinaryOperator_Add_Sub" is of the first of these, and so on.
KINDS = ("ReplaceBinaryOperator", "ReplaceComparisonOperator", "ReplaceUnaryOperator")


def sample(tree: Path, folder: str, size: int, seed: int) -> list[WorkItem]:
    """`size` mutants of the modules of tree/folder, at different places, in the order drawn.

    The same seed and source give the same sample, and a larger one begins with the smaller.
    """
    modules = sorted(
        path
        for path in (tree / folder).rglob("*.py")
        if path.stat().st_size and path.name != FASTER_FROM
    )
    places: dict[tuple[str, tuple[int, int], str], list[MutationSpec]] = {}
    for module in modules:
        source = module.read_text(encoding="utf-8")
        untested = list(annotations(source))
        for item in _all_work_items([module], {}):
            (mutation,) = item.mutations
            if not _computes_the_same(mutation, source) and not any(
                begin <= mutation.start_pos < end for begin, end in untested
            ):
                name = str(module.relative_to(tree))
                places.setdefault((name, mutation.start_pos, _kind(mutation)), []).append(mutation)
    rng = random.Random(f"{seed} {folder}")
    found: list[WorkItem] = []
    for place in rng.sample(sorted(places), len(places)):
        choices = rng.sample(places[place], len(places[place]))
        chosen = next(filter(_compiles, choices), None)
        if chosen is not None:
            found.append(WorkItem.single(f"{folder} {len(found):05}", chosen))
        if len(found) == size:
            break
    return found


def annotations(source: str) -> Iterator[Span]:
    """Where type annotations, and aliases of types, begin and end: ((line, column), the same).

    >>> sorted(annotations("def f(x: int) -> str: ..."))
    [((1, 9), (1, 12)), ((1, 17), (1, 20))]
    """
    for node in ast.walk(ast.parse(source)):
        types: Sequence[ast.expr | None] = ()
        if isinstance(node, ast.arg):
            types = (node.annotation,)
        elif isinstance(node, ast.FunctionDef):
            types = (node.returns,)
        elif isinstance(node, ast.AnnAssign):
            alias = ast.unparse(node.annotation).endswith("TypeAlias")
            types = (node.annotation, node.value if alias else None)
        for expression in filter(None, types):
            end = expression.end_lineno or 0, expression.end_col_offset or 0
            yield (expression.lineno, expression.col_offset), end


def _computes_the_same(mutation: MutationSpec, source: str) -> bool:
    name = mutation.operator_name
    line = source.splitlines()[mutation.start_pos[0] - 1].strip()
    return (
        name.endswith(ALIKE)
        or (name.endswith("RemoveDecorator") and any(cache in line for cache in CACHES))
        or (name.endswith("_Mul_Div") and line == "*,")
    )


def _kind(mutation: MutationSpec) -> str:
    name = mutation.operator_name.rpartition("/")[2]
    return next((kind for kind in KINDS if name.startswith(kind)), name)


def _compiles(mutation: MutationSpec) -> bool:
    operator = get_operator(mutation.operator_name)(**mutation.operator_args)
    source = mutation.module_path.read_text(encoding="utf-8")
    changed = mutate_code(source, operator, mutation.occurrence)
    try:
        compile(changed or "", str(mutation.module_path), "exec")
    except SyntaxError:
        return False
    return changed is not None


def tests_of(tree: Path, module: str) -> tuple[list[str], list[str]]:
    """What is run for a mutant: the tests of its module, then those of the whole package.

    Tests mirror the source, without the underscores of private names.
    """
    path = Path(module)
    mirror = Path("tests", *(part.removeprefix("_") for part in path.parts))
    own = tree / mirror.with_name(f"test_{mirror.name}")
    package, mirrored = Path(*path.parts[:2]), Path(*mirror.parts[:3])
    # Its doctests last: pytest would import a module that it meets first a second time.
    near = [*([str(own.relative_to(tree))] if own.exists() else []), module]
    return near, [str(package), str(mirrored)]


def wilson(killed: int, total: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share (Wilson 1927).

    >>> [round(bound, 3) for bound in wilson(95, 100)]
    [0.888, 0.978]
    """
    z, p = 1.959964, killed / total
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * (p * (1 - p) / total + z * z / (4 * total * total)) ** 0.5
    return middle - half, middle + half
