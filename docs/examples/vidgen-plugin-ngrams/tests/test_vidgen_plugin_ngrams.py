from vidgen.testing import parametrize_with_checks


@parametrize_with_checks([("text_encoder", "ngrams")])
def test_conformance(conformance):
    conformance()
