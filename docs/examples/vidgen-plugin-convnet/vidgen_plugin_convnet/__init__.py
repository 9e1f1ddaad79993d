"""A backbone that is no transformer: a U of 3D convolutions."""

import vidgen
from vidgen.config import config


@config
class ConvNetConfig(vidgen.DenoiserConfig):
    width: int = 64
    depth: int = 2


@vidgen.hookimpl
def vidgen_components():
    return [
        vidgen.ComponentSpec(
            kind="denoiser",
            name="convnet",
            target="vidgen_plugin_convnet.denoiser:ConvNet",
            config=ConvNetConfig,
            summary="A U of 3D convolutions, modulated by time and text.",
            presets={
                "tiny": ConvNetConfig(width=16, depth=1),
                "small": ConvNetConfig(),
            },
        )
    ]
