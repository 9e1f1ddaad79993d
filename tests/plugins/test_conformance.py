"""Every shipped part of every family keeps its word."""

from __future__ import annotations

from vidgen.registry import list_components
from vidgen.spec import CONFORMING
from vidgen.testing import parametrize_with_checks


@parametrize_with_checks([(kind, "*") for kind in CONFORMING])
def test_conformance(conformance):
    conformance()


def test_no_kind_is_left_out():
    assert all(len(list_components(kind)) >= 1 for kind in CONFORMING)
