"""Hypothesis profiles: `ci`, the default, and HYPOTHESIS_PROFILE=quick or deep.

`ci` tries the same examples each time, so that a change alone can make it fail; `quick` tries a
tenth of them, for work in progress; `deep` searches ten times longer, at random. What it finds
becomes an example, or a bound that is right.
"""

import os
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, settings

from tests.helpers.device import MISSING

EXAMPLES = 200

# These want transformers and skip their importers without it; pytest, looking for doctests, would
# leave what it has half imported of them in sys.modules.
_WITH_TRANSFORMERS = (
    "transformers_gpt2",
    "shared_settings",
    "beside_transformers",
    "stopping_alike",
)
collect_ignore = [f"helpers/{name}.py" for name in _WITH_TRANSFORMERS]
if find_spec("cosmic_ray") is None:  # which only `tox -e mutation` installs
    collect_ignore.append("mutation")

# Slow examples are a matter of the machine, not of the code, so no deadline and no health check
# on speed; every other health check stays.
settings.register_profile(
    "ci",
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=EXAMPLES // 10)
settings.register_profile(
    "deep", settings.get_profile("ci"), max_examples=10 * EXAMPLES, derandomize=False
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip everything where the device asked for is not there."""
    if MISSING:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=MISSING))
