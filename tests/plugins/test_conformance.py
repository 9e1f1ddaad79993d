"""Every shipped part of every family keeps its word."""

from __future__ import annotations

from vidgen.registry import list_components
from vidgen.spec import INTERFACES
from vidgen.testing import parametrize_with_checks


@parametrize_with_checks([(kind, "*") for kind in INTERFACES])
def test_conformance(conformance):
    conformance()


def test_no_interface_is_left_out():
    assert all(len(list_components(kind)) >= 1 for kind in INTERFACES)
