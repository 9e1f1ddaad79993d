"""Whole pipelines of diffusers, tiny and made here: saved, and run by it and by us from the same noise."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from einops import rearrange
from torch import Tensor, nn

import vidgen
from vidgen.errors import CheckpointError, ConfigError, UnknownNameError
from vidgen.layout import read_pipeline
from vidgen.size import Size

diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

PROMPT, OTHER, SEED = "A red circle moves left", "Two blue crosses stand", 7


def stirred(module: nn.Module) -> nn.Module:
    """Return a module in evaluation mode whose every tensor matters: none is left zero, one, or unset."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.nan_to_num(0.0).clamp(-2, 2) + 0.05 * torch.randn_like(parameter))
    return module.eval()


def t5(width: int = 32) -> dict[str, Any]:
    """Return an encoder and a tokenizer that need no files."""
    sizes = {"d_model": width, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4}
    model = transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=384, feed_forward_proj="gated-gelu", **sizes)
    )
    return {"text_encoder": stirred(model), "tokenizer": transformers.ByT5Tokenizer()}


def words(text: str) -> Any:
    """Return a tokenizer of whole words and signs, made of a text; the start of the prompt is the end of it."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    plain = pre_tokenizers.Whitespace()
    known = sorted({word for word, _ in plain.pre_tokenize_str(text)})
    table = {word: number for number, word in enumerate(["[pad]", "[unk]", *known])}
    tokenizer = Tokenizer(models.WordLevel(table, unk_token="[unk]"))
    tokenizer.pre_tokenizer = plain
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[pad]", unk_token="[unk]", padding_side="right"
    )


def blocks(name: str, count: int = 4) -> dict[str, Any]:
    return {
        "down_block_types": [f"{name}DownBlock3D"] * count,
        "up_block_types": [f"{name}UpBlock3D"] * count,
        "block_out_channels": [8] * count,
        "latent_channels": 4,
        "layers_per_block": 1,
        "norm_num_groups": 2,
    }


def cogvideox(**changes: Any) -> Any:
    transformer = diffusers.CogVideoXTransformer3DModel(
        **{
            "num_attention_heads": 4,
            "attention_head_dim": 8,
            "in_channels": 4,
            "out_channels": 4,
            "time_embed_dim": 2,
            "text_embed_dim": 32,
            "num_layers": 1,
            "sample_width": 2,
            "sample_height": 2,
            "sample_frames": 9,
            "patch_size": 2,
            "temporal_compression_ratio": 4,
            "max_text_seq_length": 40,
            **changes,
        }
    )
    return diffusers.CogVideoXPipeline(
        **t5(),
        transformer=stirred(transformer),
        vae=stirred(diffusers.AutoencoderKLCogVideoX(**blocks("CogVideoX"), temporal_compression_ratio=4)),
        scheduler=diffusers.CogVideoXDDIMScheduler(
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            snr_shift_scale=3.0,
        ),
    )


def ltx(**changes: Any) -> Any:
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        num_attention_heads=4,
        attention_head_dim=8,
        cross_attention_dim=32,
        num_layers=1,
        caption_channels=32,
    )
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        **changes,
    )
    vae.latents_mean.copy_(torch.linspace(-0.5, 0.5, 8))
    vae.latents_std.copy_(torch.linspace(0.5, 1.5, 8))
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True,
        base_shift=0.95,
        max_shift=2.05,
        base_image_seq_len=4,
        max_image_seq_len=64,
        shift_terminal=0.1,
    )
    return diffusers.LTXPipeline(
        **t5(), transformer=stirred(transformer), vae=stirred(vae), scheduler=scheduler
    )


def clip(positions: int = 77) -> nn.Module:
    return transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=384,
            hidden_size=8,
            intermediate_size=37,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=positions,
            eos_token_id=1,
            pad_token_id=0,
        )
    )


def hunyuan(**changes: Any) -> Any:
    transformer = diffusers.HunyuanVideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=10,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        patch_size=1,
        text_embed_dim=16,
        pooled_projection_dim=8,
        rope_axes_dim=(2, 4, 4),
        **changes,
    )
    llama = transformers.LlamaModel(
        transformers.LlamaConfig(
            vocab_size=384,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
        )
    )
    return diffusers.HunyuanVideoPipeline(
        text_encoder=stirred(llama),
        # its instruction has 350 bytes more than are left out, and 256 are read
        tokenizer=words(
            vidgen.find("text_encoder", "llama").preset("hunyuan-video").template + PROMPT + OTHER
        ),
        text_encoder_2=stirred(clip()),
        tokenizer_2=transformers.ByT5Tokenizer(),
        transformer=stirred(transformer),
        vae=stirred(diffusers.AutoencoderKLHunyuanVideo(**blocks("HunyuanVideo"))),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
    )


def mochi() -> Any:
    transformer = diffusers.MochiTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        pooled_projection_dim=16,
        in_channels=12,
        text_embed_dim=32,
        time_embed_dim=4,
        max_sequence_length=256,
    )
    vae = diffusers.AutoencoderKLMochi(
        encoder_block_out_channels=(32, 32, 32, 32),
        decoder_block_out_channels=(32, 32, 32, 32),
        layers_per_block=(1, 1, 1, 1, 1),
    )
    return diffusers.MochiPipeline(
        **t5(),
        transformer=stirred(transformer),
        vae=stirred(vae),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True),
        force_zeros_for_empty_prompt=True,
    )


def allegro() -> Any:
    transformer = diffusers.AllegroTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        cross_attention_dim=24,
        caption_channels=24,
        sample_width=2,
        sample_height=2,
        sample_frames=2,
    )
    vae = diffusers.AutoencoderKLAllegro(**blocks("Allegro"), sample_size=16)
    pipe = diffusers.AllegroPipeline(
        **t5(24),
        transformer=stirred(transformer),
        vae=stirred(vae),
        scheduler=diffusers.DDIMScheduler(clip_sample=False),
    )
    pipe.vae.enable_tiling()
    return pipe


def latte() -> Any:
    transformer = diffusers.LatteTransformer3DModel(
        sample_size=8,
        num_layers=1,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=3,
        caption_channels=32,
        in_channels=4,
        cross_attention_dim=24,
        out_channels=8,
        attention_bias=True,
        activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000,
        norm_type="ada_norm_single",
        norm_elementwise_affine=False,
        norm_eps=1e-6,
        video_length=4,
    )
    return diffusers.LattePipeline(
        **t5(),
        transformer=stirred(transformer),
        vae=stirred(image_autoencoder()),
        scheduler=diffusers.DDIMScheduler(clip_sample=False),
    )


def skyreels() -> Any:
    transformer = diffusers.SkyReelsV2Transformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=32,
        freq_dim=64,
        ffn_dim=32,
        num_layers=2,
        rope_max_seq_len=32,
    )
    vae = diffusers.AutoencoderKLWan(
        base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )
    return diffusers.SkyReelsV2Pipeline(
        **t5(),
        transformer=stirred(transformer),
        vae=stirred(vae),
        scheduler=diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=8.0
        ),
    )


def modelscope(positions: int = 77) -> Any:
    unet = diffusers.UNet3DConditionModel(
        block_out_channels=(4, 8),
        layers_per_block=1,
        sample_size=8,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=2,
    )
    return diffusers.TextToVideoSDPipeline(
        text_encoder=stirred(clip(positions)),
        tokenizer=transformers.ByT5Tokenizer(model_max_length=positions),
        unet=stirred(unet),
        vae=stirred(image_autoencoder()),
        scheduler=diffusers.DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
        ),
    )


def image_autoencoder() -> nn.Module:
    return diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=2,
    )


FAMILIES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "cogvideox": (cogvideox, {"max_sequence_length": 40}),
    "ltx": (ltx, {}),
    "hunyuan": (hunyuan, {}),
    "mochi": (mochi, {}),
    "allegro": (allegro, {}),
    "latte": (latte, {}),
    "modelscope": (modelscope, {}),
    "skyreels": (skyreels, {}),
}
SIZES = {
    "ltx": (9, 64, 32),
    "mochi": (7, 16, 32),
    "allegro": (24, 16, 16),
    "latte": (4, 16, 24),
    "modelscope": (3, 16, 24),
}
"""Frames, height and width where they are not 9 x 16 x 32."""
FRAMES = {"latte": "video_length"}


def saved(name: str, folder: Path, **changes: Any) -> Any:
    torch.manual_seed(0)
    pipe = FAMILIES[name][0](**changes)
    pipe.set_progress_bar_config(disable=True)
    pipe.save_pretrained(folder)
    return pipe


def theirs(name: str, pipe: Any, noise: Tensor, steps: int, guidance: float, **options: Any) -> Tensor:
    """Return diffusers' video ``[3, T, H, W]`` in [0, 1] from our noise ``[C, t, h, w]``."""
    frames, height, width = SIZES.get(name, (9, 16, 32))
    layout = {"cogvideox": "c t h w -> 1 t c h w", "ltx": "c t h w -> 1 (t h w) c"}.get(
        name, "c t h w -> 1 c t h w"
    )
    made = pipe(
        PROMPT,
        latents=rearrange(noise, layout),
        height=height,
        width=width,
        num_inference_steps=steps,
        guidance_scale=guidance,
        output_type="pt",
        **{FRAMES.get(name, "num_frames"): frames},
        **FAMILIES[name][1],
        **options,
    ).frames
    return rearrange(made[0], "t c h w -> c t h w")


def ours(name: str, pipe: vidgen.Pipeline, prompt: str = PROMPT, **options: Any) -> Tensor:
    """Return our video ``[3, T, H, W]`` in [0, 1], before it is rounded to bytes."""
    frames, height, width = SIZES.get(name, (9, 16, 32))
    kept: list[Tensor] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Random weights")
        pipe(
            prompt,
            seed=SEED,
            frames=frames,
            height=height,
            width=width,
            on_step=lambda _, x: kept.append(x.clone()),
            **options,
        )
    with torch.inference_mode():
        return (pipe.autoencoder.decode(kept[-1].to(pipe.dtype))[0].float() / 2 + 0.5).clamp(0, 1)


def noise_of(name: str, pipe: vidgen.Pipeline, frames: int | None = None) -> Tensor:
    """Return the noise that our pipeline starts from."""
    latent, (usual, height, width) = pipe.autoencoder.latent, SIZES.get(name, (9, 16, 32))
    size = latent.latent_size(Size(frames or usual, height, width))
    return torch.randn(latent.channels, *size, generator=torch.Generator().manual_seed(SEED))


@pytest.mark.parametrize("name", FAMILIES)
def test_both_make_the_same_video(name: str, tmp_path: Path) -> None:
    pipe = saved(name, tmp_path)
    own = vidgen.load(tmp_path)
    expected = theirs(name, pipe, noise_of(name, own), steps=4, guidance=3.0)
    found = ours(name, own, steps=4, **{"guidance_embed" if name == "hunyuan" else "guidance": 3.0})
    assert found.shape == expected.shape
    assert expected.std() > 0.01
    assert ((expected > 0) & (expected < 1)).float().mean() > 0.5
    assert own.status == "native"
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert (ours(name, own, OTHER, steps=1) - ours(name, own, steps=1)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["cogvideox", "ltx", "mochi", "latte"])
def test_negative_prompts_are_read_alike(name: str, tmp_path: Path) -> None:
    pipe = saved(name, tmp_path)
    own = vidgen.load(tmp_path)
    against = "a blurry picture that nobody wants to look at"
    expected = theirs(name, pipe, noise_of(name, own), 2, 5.0, negative_prompt=against)
    found = ours(name, own, steps=2, guidance=5.0, negative=against)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert (found - ours(name, own, steps=2, guidance=5.0)).abs().max() > 1e-3


def test_hunyuan_without_an_ear_for_guidance_is_told_none(tmp_path: Path) -> None:
    pipe = saved("hunyuan", tmp_path, guidance_embeds=False)
    own = vidgen.load(tmp_path)
    assert own.sampling.guidance_embed is None
    expected = theirs("hunyuan", pipe, noise_of("hunyuan", own), steps=2, guidance=6.0)
    torch.testing.assert_close(ours("hunyuan", own, steps=2), expected, atol=1e-4, rtol=0)


def test_ltx_measures_distances_by_its_autoencoder(tmp_path: Path) -> None:
    halved = (True, True, False, False)
    strides = {"spatio_temporal_scaling": halved, "decoder_spatio_temporal_scaling": halved}
    pipe = saved("ltx", tmp_path, patch_size=1, **strides)
    own = vidgen.load(tmp_path)
    assert own.denoiser.config.pixel_stride == (4, 4, 4)
    expected = theirs("ltx", pipe, noise_of("ltx", own), steps=2, guidance=3.0)
    torch.testing.assert_close(ours("ltx", own, steps=2, guidance=3.0), expected, atol=1e-4, rtol=0)


def test_modelscope_reads_as_many_tokens_as_its_encoder_has_positions(tmp_path: Path) -> None:
    pipe = saved("modelscope", tmp_path, positions=50)
    own = vidgen.load(tmp_path)
    assert own.denoiser.config.text_tokens == 50
    expected = theirs("modelscope", pipe, noise_of("modelscope", own), steps=2, guidance=3.0)
    found = ours("modelscope", own, steps=2, guidance=3.0)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_rotary_positions_and_patches_of_two_frames(tmp_path: Path) -> None:
    changes = {
        "use_rotary_positional_embeddings": True,
        "patch_size_t": 2,
        "sample_height": 4,
        "sample_width": 4,
        "patch_bias": False,
        "attention_head_dim": 16,
    }
    pipe = saved("cogvideox", tmp_path, **changes)
    own = vidgen.load(tmp_path)
    # diffusers decodes an even number of latents without a single first frame, so the latents are compared
    expected = pipe(
        PROMPT,
        latents=rearrange(noise_of("cogvideox", own, 5), "c t h w -> 1 t c h w"),
        height=16,
        width=32,
        num_frames=5,
        num_inference_steps=2,
        guidance_scale=3.0,
        output_type="latent",
        max_sequence_length=40,
    ).frames
    kept: list[Tensor] = []
    own(
        PROMPT,
        seed=SEED,
        frames=5,
        height=16,
        width=32,
        steps=2,
        guidance=3.0,
        on_step=lambda _, x: kept.append(x),
    )
    torch.testing.assert_close(kept[-1], rearrange(expected, "1 t c h w -> 1 c t h w"), atol=1e-4, rtol=0)
    assert own.sampling.frames == 13  # 9 are 3 latent frames, and patches hold 2


def test_what_a_call_makes_by_default_is_the_pipelines(tmp_path: Path) -> None:
    pipe = saved("cogvideox", tmp_path / "a")
    sampling = read_pipeline(tmp_path / "a").sampling
    assert (sampling.frames, sampling.height, sampling.width) == (9, 16, 16)
    assert (sampling.steps, sampling.guidance) == (50, 6.0)
    config = pipe.transformer.config
    assert (config.sample_frames, config.sample_height * 8) == (9, 16)
    saved("hunyuan", tmp_path / "b")
    sampling = read_pipeline(tmp_path / "b").sampling
    assert (sampling.frames, sampling.height, sampling.width) == (129, 720, 1280)
    assert (sampling.guidance, sampling.guidance_embed) == (1.0, 6.0)


def test_what_was_loaded_is_saved_and_loaded_without_the_folder(tmp_path: Path) -> None:
    saved("hunyuan", tmp_path / "theirs")
    own = vidgen.load(tmp_path / "theirs")
    found = ours("hunyuan", own, steps=2)
    own.save(tmp_path / "ours")
    shutil.rmtree(tmp_path / "theirs")
    again = vidgen.load((tmp_path / "ours").rename(tmp_path / "moved"))
    assert again.status == "native"
    torch.testing.assert_close(ours("hunyuan", again, steps=2), found, atol=1e-6, rtol=0)


def test_weights_are_read_in_the_type_that_is_asked_for(tmp_path: Path) -> None:
    saved("hunyuan", tmp_path)
    own = vidgen.load(tmp_path, dtype="bfloat16")
    for module in own.modules().values():
        assert {p.dtype for p in module.parameters()} == {torch.bfloat16}
    assert ours("hunyuan", own, steps=1).isfinite().all()


def test_weights_in_several_files_and_under_other_names_are_found(tmp_path: Path) -> None:
    pipe = saved("hunyuan", tmp_path / "whole")
    pipe.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    pipe.save_pretrained(tmp_path / "variant", variant="fp16")
    assert len(list((tmp_path / "shards" / "transformer").glob("*.safetensors"))) > 1
    assert list((tmp_path / "variant" / "text_encoder").glob("*.fp16.safetensors"))
    first = vidgen.load(tmp_path / "whole")
    for folder in ("shards", "variant"):
        other = vidgen.load(tmp_path / folder)
        for kind, module in first.modules().items():
            there = other.modules()[kind].state_dict()
            assert all(tensor.equal(there[name]) for name, tensor in module.state_dict().items())
        assert other.autoencoder.latent.space == first.autoencoder.latent.space


def test_a_decoder_that_is_told_a_time_makes_the_same_video(tmp_path: Path) -> None:
    pipe = saved("ltx", tmp_path, timestep_conditioning=True)
    own = vidgen.load(tmp_path)
    expected = theirs("ltx", pipe, noise_of("ltx", own), steps=2, guidance=1.0)
    torch.testing.assert_close(ours("ltx", own, steps=2, guidance=1.0), expected, atol=1e-4, rtol=0)


def test_a_folder_is_checked_without_torch(tmp_path: Path) -> None:
    saved("hunyuan", tmp_path)
    code = (
        "import sys; from vidgen.layout import read_pipeline; "
        f"recipe = read_pipeline({str(tmp_path)!r}); assert recipe.problems() == []; "
        "print(recipe.status(), [m for m in ('torch', 'diffusers', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "native []", done.stdout + done.stderr


def test_denoisers_are_not_told_what_they_cannot_hear(tmp_path: Path) -> None:
    saved("cogvideox", tmp_path)
    with pytest.raises(ConfigError, match="told no guidance scale"):
        ours("cogvideox", vidgen.load(tmp_path), steps=1, guidance_embed=3.0)


def test_folders_that_are_not_whole_or_not_known_are_refused(tmp_path: Path) -> None:
    saved("cogvideox", tmp_path / "whole")

    def broken(change: Callable[[Path], Any]) -> Path:
        folder = tmp_path / "broken"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "whole", folder)
        change(folder)
        return folder

    def index(folder: Path, **fields: Any) -> None:
        path = folder / "model_index.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    def scheduler(folder: Path, **fields: Any) -> None:
        path = folder / "scheduler" / "scheduler_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    for change, error, complaint in (
        (lambda f: shutil.rmtree(f / "transformer"), CheckpointError, "lacks the folder 'transformer'"),
        (lambda f: shutil.rmtree(f / "tokenizer"), CheckpointError, "tokenizer"),
        (
            lambda f: (f / "vae" / "diffusion_pytorch_model.safetensors").unlink(),
            CheckpointError,
            "no weights",
        ),
        (lambda f: (f / "text_encoder" / "config.json").unlink(), CheckpointError, "config.json is missing"),
        (lambda f: index(f, _class_name="NobodysPipeline"), UnknownNameError, "NobodysPipeline"),
        (lambda f: index(f, text_encoder=["transformers", "Gemma"]), UnknownNameError, "Gemma"),
        (lambda f: scheduler(f, _class_name="NobodysScheduler"), UnknownNameError, "NobodysScheduler"),
        (lambda f: scheduler(f, clip_sample="x", novel=1), ConfigError, "novel"),
    ):
        with pytest.raises(error, match=complaint) as caught:
            vidgen.load(broken(change))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        ("modelscope", lambda: diffusers.PNDMScheduler(skip_prk_steps=True)),
        ("modelscope", lambda: diffusers.DEISMultistepScheduler()),
        ("ltx", lambda: diffusers.FlowMatchEulerDiscreteScheduler(shift=2.0, use_beta_sigmas=True)),
    ],
    ids=["pndm", "deis", "beta"],
)
def test_samplers_that_our_solvers_do_not_read_run_themselves(
    name: str, sampler: Callable[[], Any], tmp_path: Path
) -> None:
    pipe = saved(name, tmp_path)
    pipe.scheduler = sampler()
    pipe.scheduler.save_pretrained(tmp_path / "scheduler")
    own = vidgen.load(tmp_path)
    assert name == "ltx" or own.recipe.scheduler.spec.name == "diffusers"
    expected = theirs(name, pipe, noise_of(name, own), steps=5, guidance=3.0)
    torch.testing.assert_close(ours(name, own, steps=5, guidance=3.0), expected, atol=1e-4, rtol=0)


def test_a_sampler_that_counts_the_other_way_is_refused(tmp_path: Path) -> None:
    pipe = saved("mochi", tmp_path)
    pipe.scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipe.scheduler.save_pretrained(tmp_path / "scheduler")
    with pytest.raises(ConfigError, match="opposite directions"):
        vidgen.load(tmp_path)
