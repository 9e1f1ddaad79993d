"""The conformance suite: the checks that every component of a kind passes, whoever wrote it."""

from __future__ import annotations

from collections.abc import Sequence

from vidgen.errors import UnknownNameError, closest
from vidgen.testing import autoencoder, common, denoiser, guider, scheduler, text_encoder
from vidgen.testing.check import CHECKS, Check, Row, Subject, run_check

__all__ = ["check_component", "checks_of", "choose"]

_MODULES = (common, autoencoder, denoiser, text_encoder, scheduler, guider)


def checks_of(kind: str) -> list[Check]:
    """Return the checks of a kind: first those of every component, then its own."""
    order = [module.__name__ for module in _MODULES]
    checks = [one for one in CHECKS.values() if kind in one.kinds]
    return sorted(checks, key=lambda one: order.index(one.function.__module__))


def check_component(
    kind: str, name: str, *, checks: Sequence[str] | None = None, subject: Subject | None = None
) -> list[Row]:
    """Run the conformance suite on a component.

    Args:
        kind: One of the four interfaces, or ``guider``.
        name: A registered name, ``name`` or ``name/preset``; the preset ``tiny`` by default.
        checks: Names of the checks to run; all of the kind by default.
        subject: What to test instead of the registered preset (a configuration of one's own).

    Returns:
        A row a check. Failures that the spec declares (`ComponentSpec.expected_failures`) are ``xfail``; a check that
        passes although it is declared to fail is a ``fail``: take the declaration away.

    Raises:
        UnknownNameError: For an unknown name, preset or check.
    """
    subject = subject or Subject.of(kind, name)
    return [run_check(subject, one) for one in choose(subject, checks)]


def choose(subject: Subject, names: Sequence[str] | None = None) -> list[Check]:
    """Return the checks of a subject by their names, all by default.

    Raises:
        UnknownNameError: For a name, asked for or declared to fail, that no check of the kind has.
    """
    known = {one.name: one for one in checks_of(subject.spec.kind)}
    for wanted in (*(names or ()), *subject.spec.expected_failures):
        if wanted not in known:
            raise UnknownNameError(
                f"{subject.spec.kind} has no check {wanted!r}.{closest(wanted, known)} Checks: {', '.join(known)}."
            )
    return [known[name] for name in names or known]
