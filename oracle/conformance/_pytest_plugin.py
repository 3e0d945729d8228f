"""pytest plugin's hooks: the checks as tests, beside one's own.

`pytest_gpt2`, which pytest finds by itself, registers them where --gpt2-subject or --gpt2-command
is given.
"""

import hashlib
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

SUBJECT = pytest.StashKey[Any]()
OPENED = pytest.StashKey[ExitStack]()
OUTCOMES = pytest.StashKey[list[Any]]()
SEED = pytest.StashKey[int]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """A test for each check, after all others; -k chooses among them too."""
    path, line = (config.getoption(f"gpt2_{option}", None) for option in ("subject", "command"))
    if not path and not line:
        return
    from oracle.adapters.own_process import isolated
    from oracle.adapters.program import command
    from oracle.adapters.subject import NoSubject
    from oracle.conformance._catalogue import checks_at

    config.stash[OPENED] = ExitStack()
    config.stash[OUTCOMES] = []
    config.stash[SEED] = _seed(config)
    try:
        opened = isolated(path) if path else command(line)
        config.stash[SUBJECT] = config.stash[OPENED].enter_context(opened)
    except NoSubject as error:
        raise pytest.UsageError(str(error)) from error
    checks = checks_at(config.getoption("gpt2_sizes"))
    items += [CheckItem.from_parent(session, name=f"gpt2[{c.name}]", check=c) for c in checks]


def _seed(config: pytest.Config) -> int:
    """The seed that was asked for, or a fresh one; all processes of pytest-xdist have the same."""
    from oracle.conformance._explore import fresh_seed

    seed: int | None = config.getoption("gpt2_seed")
    if seed is not None:
        return seed
    run = getattr(config, "workerinput", {}).get("testrunuid")
    return fresh_seed() if run is None else int(hashlib.sha256(run.encode()).hexdigest()[:8], 16)


class CheckItem(pytest.Item):
    """One check of the subject."""

    def __init__(self, *, check: Any, **known: Any) -> None:
        super().__init__(**known)
        self.check = check

    def runtest(self) -> None:
        """Skip what is not offered; fail where the check is wrong or undecided."""
        from oracle.conformance._outcome import LAX, NOT_OFFERED, RIGHT, STRICT, run
        from oracle.conformance._table import head, line

        subject, count = self.config.stash[SUBJECT], self.config.getoption("gpt2_examples")
        seed = self.config.stash[SEED]
        outcome = run(self.check, subject, count=count, seed=seed)
        self.config.stash[OUTCOMES].append(outcome)
        if outcome.verdict == NOT_OFFERED:
            pytest.skip(f"{subject.name} does not offer what {self.check.name} asks of")
        if outcome.verdict == LAX:
            pytest.skip(f"{subject.name} is lax: {outcome.says}")
        if outcome.verdict not in (RIGHT, STRICT):
            shown = [f"{outcome.verdict}: {outcome.says}", head(), line(outcome)]
            shown.append(f"    with --gpt2-seed={seed} the examples are the same again")
            if outcome.worst:
                shown.append(f"    {outcome.worst.example!r}")
            pytest.fail("\n".join(shown), pytrace=False)

    def reportinfo(self) -> tuple[str, int | None, str]:
        """Where it stands, for the report."""
        return self.check.name, None, self.name


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Where the subject first goes wrong, and which known bug that looks like."""
    outcomes = config.stash.get(OUTCOMES, [])
    if any(outcome.worst for outcome in outcomes):
        from oracle.conformance._judge import judgement_of
        from oracle.conformance._table import summary

        terminalreporter.section("gpt2")
        judgement = judgement_of(config.stash[SUBJECT], outcomes)
        terminalreporter.write_line(summary(replace(judgement, seed=config.stash[SEED])))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let the subject go."""
    if opened := config.stash.get(OPENED, None):
        opened.close()
