import torch

import vidgen


def test_frames_are_coded_alone_whatever_the_clip() -> None:
    part = vidgen.create("autoencoder", "kl-vae/tiny")
    video = torch.rand(2, 3, 5, 16, 24) * 2 - 1
    with torch.inference_mode():
        latents = part.encode(video)
        assert latents.shape == (2, 4, 5, 2, 3)
        alone = torch.cat([part.encode(frame) for frame in video.split(1, dim=2)], dim=2)
        assert torch.allclose(latents, alone, atol=1e-5)


def test_normalisation_is_inside_and_can_be_declared() -> None:
    part = vidgen.create("autoencoder", "kl-vae/tiny")
    video = torch.rand(1, 3, 2, 16, 16) * 2 - 1
    with torch.inference_mode():
        latents, made = part.encode(video), part.decode(part.encode(video))
        part.set_normalisation(torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.full((4,), 0.5))
        raw = latents / 0.18215
        expected = (raw - torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 4, 1, 1, 1)) / 0.5
        assert torch.allclose(part.encode(video), expected, atol=1e-4)
        assert torch.allclose(part.decode(part.encode(video)), made, atol=1e-4)
    assert part.config.latent_scale == (2.0,) * 4


def test_attention_at_the_resolutions_that_ask_for_it() -> None:
    part = vidgen.create("autoencoder", "kl-vae/tiny", attention_resolutions=(16,))
    names = [name for name in part.state_dict() if ".attn." in name]
    assert {name.split(".attn.")[0] for name in names} == {"encoder.down.2", "decoder.up.2"}
