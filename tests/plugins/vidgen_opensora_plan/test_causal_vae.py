import pytest
import torch

import vidgen
from vidgen.errors import ConfigError

PRESETS = ("v1.0", "v1.0-release", "v1.1", "v1.2")
SMALL = {"width": 32, "blocks": 1}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_generation_encodes_decodes_and_learns(preset: str) -> None:
    part = vidgen.create("autoencoder", f"causal-vae/{preset}", **SMALL)
    for frames in (1, 9):
        video = torch.rand(1, 3, frames, 16, 24) * 2 - 1
        latents = part.encode(video)
        assert latents.shape == (1, 4, 1 + frames // 4, 2, 3)
        assert part.decode(latents).shape == video.shape
    made, losses = part.forward_train(video)
    (made.square().mean() + losses["kl"]).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in part.parameters())


def test_the_two_variants_of_1_0_share_names_but_not_numbers() -> None:
    one, two = (vidgen.create("autoencoder", f"causal-vae/{name}", **SMALL) for name in PRESETS[:2])
    two.load_state_dict(one.state_dict(), strict=True)
    video = torch.rand(1, 3, 9, 16, 16) * 2 - 1
    with torch.inference_mode():
        assert one.encode(video).shape == two.encode(video).shape
        assert not torch.allclose(one.encode(video), two.encode(video), atol=1e-3)


def test_an_inflated_image_autoencoder_equals_itself_frame_by_frame() -> None:
    """With time's last tap holding a 2D kernel and no stride in time, a video is coded like its frames."""
    settings = {**SMALL, "multipliers": (1, 1),
                "encoder_attention": "AttnBlock3DFix", "decoder_attention": "AttnBlock3DFix",
                "encoder_blocks": ("ResnetBlock3D",) * 2, "decoder_blocks": ("ResnetBlock3D",) * 2,
                "encoder_space": ("SpatialDownsample2x", ""), "decoder_space": ("", "SpatialUpsample2x"),
                "encoder_time": ("", ""), "decoder_time": ("", "")}  # fmt: skip
    part = vidgen.create("autoencoder", "causal-vae/v1.0", **settings)
    with torch.no_grad():
        for parameter in part.parameters():
            if parameter.ndim == 5:
                parameter[:, :, :-1] = 0
    frame = torch.rand(1, 3, 1, 16, 16) * 2 - 1
    with torch.inference_mode():
        one, many = part.encode(frame), part.encode(frame.expand(-1, -1, 5, -1, -1))
        # A still: what the norms see over all frames is what they see in one.
        assert torch.allclose(many, one.expand_as(many), atol=1e-5)
        assert torch.allclose(part.decode(many), part.decode(one).expand(-1, -1, 5, -1, -1), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_time": ("", "")}, "encoder_time needs 4 entries"),
        ({"decoder_time": ("", "", "", "")}, "strides"),
        ({"width": 40}, "multiple of 32"),
        ({"encoder_space": ("Downsample", "Downsample", "", "Downsample")}, "last level"),
    ],
    ids=str,
)
def test_ladders_that_do_not_stand_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        vidgen.create("autoencoder", "causal-vae/v1.0", **changes)
