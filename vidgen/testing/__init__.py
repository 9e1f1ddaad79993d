"""What plugin authors test with: the conformance suite, and Gaussians whose exact solution is known."""

from vidgen.testing.check import Row, Subject
from vidgen.testing.parametrize import parametrize_with_checks
from vidgen.testing.suite import check_component, checks_of

__all__ = ["Row", "Subject", "check_component", "checks_of", "parametrize_with_checks"]
