from vidgen.testing import parametrize_with_checks


@parametrize_with_checks([("denoiser", "convnet")])
def test_conformance(conformance):
    conformance()
