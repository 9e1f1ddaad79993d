"""A text encoder over pieces of words, so that words never seen before still mean something."""

import vidgen
from vidgen.config import config


@config
class NGramsConfig(vidgen.TextEncoderConfig):
    width: int = 128
    buckets: int = 8192
    longest: int = 4
    max_tokens: int = 32

    def contract(self):
        text = vidgen.TextSpec(
            space=self.space,
            width=self.width,
            pooled_width=self.width,
            max_tokens=self.max_tokens,
        )
        return vidgen.TextEncoderContract(text=text)


@vidgen.hookimpl
def vidgen_components():
    return [
        vidgen.ComponentSpec(
            kind="text_encoder",
            name="ngrams",
            target="vidgen_plugin_ngrams.text_encoder:NGrams",
            config=NGramsConfig,
            summary="Words as sums of vectors of their letter groups (fastText).",
            presets={
                "tiny": NGramsConfig(width=32, buckets=1024),
                "small": NGramsConfig(),
            },
        )
    ]
