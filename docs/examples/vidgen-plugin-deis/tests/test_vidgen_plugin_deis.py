from vidgen.testing import parametrize_with_checks


@parametrize_with_checks([("scheduler", "deis")])
def test_conformance(conformance):
    conformance()
