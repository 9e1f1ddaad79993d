"""What plugin authors test with: exact solutions and the conformance suite."""
