"""The random numbers that sampling consumes: one uniform for each row and step."""

import numpy as np
import numpy.typing as npt

from npgpt.decoding.validators import integer
from npgpt.errors import SettingError
from npgpt.quoting import brief


def seed_uniforms(seed: int, rows: int, steps: int, *draws: int) -> npt.NDArray[np.float64]:
    """Uniforms in [0, 1) made from a seed: float64 (rows, steps), or (rows, steps, draws).

    A row's numbers depend on the seed and the row's place alone, and those of fewer steps are the
    first of those of more. So a row draws the same whatever stands beside it, and however long the
    run may be. Raises SettingError for a seed that is not a whole number, 0 or more.

    >>> bool((seed_uniforms(7, 3, 5)[:2, :4] == seed_uniforms(7, 2, 4)).all())
    True
    """
    seed = integer(0)("seed", seed)
    drawn = [np.random.default_rng([seed, row]).random((steps, *draws)) for row in range(rows)]
    return np.array(drawn, dtype=np.float64).reshape(rows, steps, *draws)


def checked_uniforms(
    uniforms: npt.ArrayLike, rows: int, steps: int, *draws: int
) -> npt.NDArray[np.float64]:
    """The uniforms as float64, once they are known to serve `rows` rows for `steps` steps.

    Raises SettingError for another shape (more steps than needed may be given) or a number outside
    [0, 1).

    >>> checked_uniforms([[0.25, 0.5]], rows=1, steps=1)
    array([[0.25, 0.5 ]])
    """
    each = f", each with {draws[0]} draws," if draws else ""
    needed = f"give an array of {rows} rows and {steps} steps{each} of numbers in [0, 1)"
    try:
        given = np.asarray(uniforms)
    except ValueError as error:
        raise SettingError(
            f"uniforms are {brief(uniforms)}, which is no array; {needed}"
        ) from error
    if given.dtype.kind not in "fiu":
        raise SettingError(f"uniforms are {brief(uniforms)}, which are no numbers; {needed}")
    fits = given.ndim == 2 + len(draws) and given.shape[0] == rows and given.shape[2:] == draws
    if not fits or given.shape[1] < steps:
        raise SettingError(f"uniforms have shape {given.shape}; {needed}")
    # Rounded to float64 before the check: a wider number just below 1 may round to 1.
    plain = given.astype(np.float64)
    outside = ~((plain >= 0) & (plain < 1))
    if outside.any():
        raise SettingError(f"uniforms hold {brief(given[outside][0])}; {needed}")
    return plain
