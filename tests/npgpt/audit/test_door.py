"""What npgpt.audit and npgpt.trace promise by name."""

import pytest

import npgpt.audit
import npgpt.audit.report
import npgpt.audit.saved
import npgpt.trace


@pytest.mark.parametrize(
    "package",
    [npgpt.audit, npgpt.audit.interventions, npgpt.audit.report, npgpt.audit.saved,
     npgpt.audit.sites, npgpt.audit.sweeps, npgpt.trace],
    ids=lambda package: package.__name__,
)  # fmt: skip
def test_every_public_name_is_there_and_says_what_it_is(package) -> None:
    assert package.__doc__
    assert len(set(package.__all__)) == len(package.__all__)
    for name in package.__all__:
        public = getattr(package, name)
        if callable(public) and public.__module__.startswith("npgpt"):
            assert public.__doc__, name
