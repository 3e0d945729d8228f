"""A pytest plugin: a mutant that is seen is seen; no smaller example is looked for."""

from hypothesis import Phase, settings


def pytest_collection() -> None:
    """After tests/conftest.py has chosen a profile, and before any test takes it over."""
    settings.register_profile(
        "mutation", settings.default, phases=[Phase.explicit, Phase.generate], database=None
    )
    settings.load_profile("mutation")
