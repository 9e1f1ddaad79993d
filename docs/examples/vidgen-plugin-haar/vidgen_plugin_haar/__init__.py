"""An autoencoder without training: the Haar wavelets of time and space, which lose nothing."""

import vidgen
from vidgen.config import config


@config
class HaarConfig(vidgen.AutoencoderConfig):
    space: str = "haar-2x4x4"

    def contract(self):
        latent = vidgen.LatentSpec(
            space=self.space,
            channels=96,
            time_stride=2,
            space_stride=4,
            streaming="exact",
        )
        return vidgen.AutoencoderContract(latent=latent)


@vidgen.hookimpl
def vidgen_components():
    return [
        vidgen.ComponentSpec(
            kind="autoencoder",
            name="haar",
            target="vidgen_plugin_haar.autoencoder:Haar",
            config=HaarConfig,
            summary="Haar wavelets, 2x4x4 to 96 channels: lossless, nothing to train.",
            presets={"tiny": HaarConfig()},
        )
    ]
