"""The conformance suite as pytest tests: one a component and check."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vidgen.registry import list_components
from vidgen.spec import CONFORMING, check_kind
from vidgen.testing.check import Subject, run_check
from vidgen.testing.suite import checks_of

__all__ = ["parametrize_with_checks"]


def parametrize_with_checks(components: Iterable[tuple[str, str]]) -> Any:
    """Return a decorator that runs a test once for each component and check.

    The test takes one argument, `conformance`, and calls it; a check that finds nothing declared to hold the component
    to skips, and declared failures (`ComponentSpec.expected_failures`) are strict xfails.

    Args:
        components: Pairs of kind and name, ``("denoiser", "my-net")``; names may have a preset, or be a wildcard.

    Raises:
        UnknownNameError: When a component is not registered (is the plugin installed?).
        ValueError: When there is nothing to test.

    Example:
        ::

            @parametrize_with_checks([("denoiser", "my-net")])
            def test_conformance(conformance):
                conformance()
    """
    import pytest

    cases = []
    for kind, name in components:
        kind = check_kind(kind)
        wild = any(letter in name for letter in "*?[")
        for one in list_components(kind, name) if wild else [name]:
            subject = Subject.of(kind, one)
            for check in checks_of(subject.spec.kind):
                case = f"{kind}-{subject.label}-{check.name}"
                cases.append(pytest.param(_Case(subject, check.name), id=case))
    if not cases:
        raise ValueError(
            f"There is nothing to test: no component matches; kinds are {', '.join(CONFORMING)}."
        )
    return pytest.mark.parametrize("conformance", cases)


class _Case:
    """One check on one component; calling it passes, fails, skips or xfails the test that calls it."""

    def __init__(self, subject: Subject, check: str) -> None:
        self.subject, self.check = subject, check

    def __call__(self) -> None:
        import pytest

        one = next(one for one in checks_of(self.subject.spec.kind) if one.name == self.check)
        row = run_check(self.subject, one)
        if row.status == "skip":
            pytest.skip(row.message)
        if row.status == "xfail":
            pytest.xfail(row.message)
        if row.status == "fail":
            pytest.fail(f"{row.name}: {one.summary}\n{row.message}", pytrace=False)
