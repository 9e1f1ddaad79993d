from vidgen.testing import parametrize_with_checks


@parametrize_with_checks([("autoencoder", "haar")])
def test_conformance(conformance):
    conformance()
