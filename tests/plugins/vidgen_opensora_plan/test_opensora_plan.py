import pytest
import torch

import vidgen
from vidgen.errors import ConfigError
from vidgen.interfaces import Condition, TextEmbedding
from vidgen.size import Size
from vidgen_opensora_plan.denoiser import Skip


def words(width: int = 64) -> TextEmbedding:
    tokens = torch.randn(2, 5, width, generator=torch.Generator().manual_seed(3))
    return TextEmbedding(tokens, torch.ones(2, 5, dtype=torch.bool), None)


@pytest.mark.parametrize(("k", "distance"), [(2, 1.25), (4, 1.5625), (6, 61 / 36), (8, 1.765625)])
def test_average_attention_distance(k: int, distance: float) -> None:
    """At 24x32x32 tokens, one hop where one of the two kinds of block joins a pair, two where it takes both."""
    length = 24 * 32 * 32 // (k * k) * k * k
    index = torch.arange(length)[None, None, :, None]
    member = {}
    for grouped in (False, True):
        parts = Skip(k, grouped).split(index)[:, 0, :, 0]
        member[grouped] = torch.empty(length, dtype=torch.long)
        for number, part in enumerate(parts):
            member[grouped][part] = number
    joint = torch.bincount(member[False] * k + member[True], minlength=k * k).view(k, k).double()
    direct = (joint * (joint.sum(1, keepdim=True) + joint.sum(0, keepdim=True) - joint)).sum() / length**2
    assert float(2 - direct) == pytest.approx(distance, abs=1e-9)
    assert distance == pytest.approx(2 - 2 / k + 1 / k**2)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("length", [1, 15, 16, 17, 72])
def test_what_is_split_is_joined_again(grouped: bool, length: int) -> None:
    skip, x = Skip(4, grouped), torch.randn(2, 3, length, 6)
    parts = skip.split(x)
    assert parts.shape[0] == 8
    assert torch.equal(skip.join(parts, length), x)


def test_skip_sparse_blocks_do_less_work() -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    counts = {}
    for k in (1, 4):
        part = vidgen.create("denoiser", "opensora-plan/tiny", sparsity=k, dense_blocks=(0, 99))
        prepared = part.prepare(words(), Condition(), Size(4, 32, 32))
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
            part(torch.randn(2, 16, 4, 32, 32), torch.tensor([0.2, 0.9]), prepared)
        counts[k] = counter.get_total_flops()
    assert counts[4] < 0.6 * counts[1]


def test_masked_tokens_do_not_reach_the_others() -> None:
    """In the published forward, what a padded sequence holds beyond its end changes nothing before it."""
    part = vidgen.create("denoiser", "opensora-plan/tiny", latent_channels=4, text_width=8)
    keep = torch.ones(1, 3, 4, 6)
    keep[..., 4:] = 0
    inputs = {
        "latents": torch.randn(1, 4, 3, 4, 6),
        "timestep": torch.tensor([500]),
        "context": torch.randn(1, 1, 5, 8),
        "context_mask": torch.tensor([[[1, 1, 1, 0, 0]]]),
        "attention_mask": keep,
    }
    with torch.inference_mode():
        one = part.published_forward(**inputs)["sample"]
        inputs["latents"] = torch.where(keep[:, None].bool(), inputs["latents"], torch.full((), 7.0))
        inputs["context"][:, :, 3:] = 9.0
        two = part.published_forward(**inputs)["sample"]
    assert torch.allclose(one[..., :4], two[..., :4], atol=1e-5)
    assert not torch.allclose(one[..., 4:], two[..., 4:], atol=1e-3)


def test_given_latents_count_once_their_paths_have_learned() -> None:
    part = vidgen.create("denoiser", "opensora-plan/tiny", inpaint=True)
    assert part.config.contract().abilities == {"given"}
    x, time, size = torch.randn(2, 16, 2, 4, 4), torch.tensor([0.3, 0.6]), Size(2, 4, 4)
    given = torch.cat([torch.randn(2, 16, 2, 4, 4), torch.ones(2, 1, 2, 4, 4)], dim=1)

    def made(condition: Condition) -> torch.Tensor:
        with torch.inference_mode():
            return part(x, time, part.prepare(words(), condition, size)).value

    assert torch.equal(made(Condition()), made(Condition(given=given)))
    with torch.no_grad():
        for name, parameter in part.named_parameters():
            if name.startswith("pos_embed_m") and name.endswith(".1.weight"):
                parameter.normal_()
    assert not torch.allclose(made(Condition()), made(Condition(given=given)), atol=1e-3)


def test_the_mask_has_as_many_channels_as_the_autoencoder_has_frames_to_a_latent_one() -> None:
    parts = {
        "denoiser": {"name": "opensora-plan", "preset": "tiny", "config": {"inpaint": True}},
        "text_encoder": "words/tiny",
        "scheduler": "euler",
    }
    pipe = vidgen.compose(autoencoder="wf-vae/tiny", **parts)
    assert pipe.denoiser.config.mask_channels == pipe.denoiser.pos_embed_mask[0].proj.in_channels == 4
    assert pipe.replace(autoencoder="kl-vae/tiny").denoiser.config.mask_channels == 1
    parts["denoiser"]["config"]["mask_channels"] = 4
    assert vidgen.check({"autoencoder": "wf-vae/tiny", **parts}) == []
    (problem,) = vidgen.check({"autoencoder": "kl-vae/tiny", **parts})
    assert str(problem).startswith(
        "autoencoder 'kl-vae' and denoiser 'opensora-plan' differ in time stride: 1 against 4"
    )
    parts["denoiser"]["config"]["inpaint"] = False  # then there is no mask
    assert vidgen.check({"autoencoder": "kl-vae/tiny", **parts}) == []


def test_heads_that_do_not_split_into_three_axes_are_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of 6"):
        vidgen.create("denoiser", "opensora-plan/tiny", head_width=16)
