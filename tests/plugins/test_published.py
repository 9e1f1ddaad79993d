"""Published systems, part by part: recorded numbers of their references, tensor names at full size, bad folders."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import vidgen
from vidgen.errors import CheckpointError, ConfigError

SHARED = Path(__file__).parents[3] / "shared"
PARITY = {
    "videogpt_vqvae": ("autoencoder", "videogpt-vqvae"),
    "opensora_plan_causalvae_v1_1": ("autoencoder", "causal-vae"),
    "opensora_plan_causalvae_v1_2": ("autoencoder", "causal-vae"),
    "opensora_plan_wfvae_4x8x8": ("autoencoder", "wf-vae"),
    "opensora_plan_wfvae_8x8x8": ("autoencoder", "wf-vae"),
    "opensora_plan_dit_v1_3_skiparse": ("denoiser", "opensora-plan"),
    "opensora_plan_dit_v1_3_inpaint": ("denoiser", "opensora-plan"),
    "videocrafter2_kl_vae": ("autoencoder", "kl-vae"),
    "videocrafter2_unet": ("denoiser", "videocrafter2"),
}
KEYS = {
    "vqvae_444": ("autoencoder", "videogpt-vqvae/444", 21.142),
    "cvae_v1_0_release": ("autoencoder", "causal-vae/v1.0-release", 229.2),
    "cvae_v1_1": ("autoencoder", "causal-vae/v1.1", 246.8),
    "cvae_v1_2": ("autoencoder", "causal-vae/v1.2", 239.2),
    "wfvae_D8_layernorm": ("autoencoder", "wf-vae/4x8x8", 146.66),
    "wfvae_888_D32": ("autoencoder", "wf-vae/8x8x8", 227.04),
    "osp_t2v_v1_3": ("denoiser", "opensora-plan/v1.3", 2771.98),
    "osp_inpaint_v1_3": ("denoiser", "opensora-plan/v1.3-inpaint", 2782.71),
    "vc2_unet_512_v2": ("denoiser", "videocrafter2/512", 1413.28),
}


def parity(name: str) -> Path:
    folder = SHARED / "parity" / name
    if not folder.is_dir():
        pytest.skip(f"needs the recorded numbers in {folder}")
    return folder


@pytest.mark.parametrize("name", PARITY)
def test_recorded_numbers_are_met(name: str) -> None:
    folder = parity(name)
    recorded = load_file(folder / "io.safetensors")
    part = vidgen.load_published(*PARITY[name], folder)
    with torch.inference_mode():
        made = part.published_forward(
            **{key.removeprefix("in."): value for key, value in recorded.items() if key.startswith("in.")}
        )
    expected = {key.removeprefix("out."): value for key, value in recorded.items() if key.startswith("out.")}
    assert expected
    for key, value in expected.items():
        assert made[key].shape == value.shape
        assert float((made[key].double() - value.double()).abs().max()) < 1e-4, key


@pytest.mark.parametrize("name", KEYS)
def test_names_shapes_and_counts_at_full_size(name: str) -> None:
    path = SHARED / "reference" / "keys" / f"{name}.txt"
    if not path.exists():
        pytest.skip(f"needs the list of tensors {path}")
    kind, part_name, millions = KEYS[name]
    with torch.device("meta"):
        part = vidgen.create(kind, part_name)
    lines = [line.split(" ", 1) for line in path.read_text().splitlines() if line]
    listed = {key: shape.strip() for key, shape in lines}
    assert {key: str(tuple(value.shape)) for key, value in part.state_dict().items()} == listed
    assert sum(parameter.numel() for parameter in part.parameters()) / 1e6 == pytest.approx(
        millions, rel=0.002
    )


@pytest.mark.parametrize("name", [name for name, (kind, _) in PARITY.items() if kind == "autoencoder"])
def test_the_parts_interface_agrees_with_the_published_numbers(name: str) -> None:
    """Encode and decode through the interface: the same arithmetic, with normalisation and value range of ours."""
    folder = parity(name)
    recorded = load_file(folder / "io.safetensors")
    part = vidgen.load_published(*PARITY[name], folder)
    scale = 2.0 if part.latent.codebook else 1.0
    video = recorded["in.video"] if "in.video" in recorded else recorded["in.image"][:, :, None]
    decoded = (
        recorded["out.decoded"]
        if video.shape == recorded["out.decoded"].shape
        else recorded["out.decoded"][:, :, None]
    )
    with torch.inference_mode():
        assert video.abs().max() * scale <= 1.001, (
            "recorded outside our range; the comparison would refuse it"
        )
        made = part.decode(part.encode(scale * video))
    assert float((made / scale - decoded).abs().max()) < 1e-4


def test_a_folder_without_config_names_both_variants_of_causal_vae_1_0(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match=r"v1\.0.*v1\.0-release"):
        vidgen.load_published("autoencoder", "causal-vae", tmp_path)


def written(tmp_path: Path, **changes: object) -> tuple[Path, dict[str, torch.Tensor]]:
    """Write a tiny kl-vae in the published layout."""
    part = vidgen.create("autoencoder", "kl-vae/tiny")
    dd = {
        "z_channels": 4,
        "ch": 32,
        "ch_mult": [1, 1, 1, 2],
        "num_res_blocks": 1,
        "resolution": 64,
        "attn_resolutions": [],
    }
    (tmp_path / "config.json").write_text(json.dumps({"embed_dim": 4, "ddconfig": dd, **changes}))
    return tmp_path, {name: value.clone() for name, value in part.state_dict().items()}


def same(part: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(part.state_dict()[name], value) for name, value in tensors.items())


@pytest.mark.parametrize("prefix", ["", "module.", "first_stage_model."])
def test_prefixes_and_other_parts_of_a_whole_checkpoint(tmp_path: Path, prefix: str) -> None:
    folder, tensors = written(tmp_path)
    whole = {prefix + name: value for name, value in tensors.items()}
    if prefix == "first_stage_model.":
        whole["model.diffusion_model.out.weight"] = torch.zeros(1)
        whole["betas"] = torch.zeros(3)
    torch.save({"state_dict": whole, "epoch": 3}, folder / "model.ckpt")
    assert same(vidgen.load_published("autoencoder", "kl-vae", folder), tensors)


def test_the_running_mean_is_preferred(tmp_path: Path) -> None:
    folder, tensors = written(tmp_path)
    old = {name: torch.zeros_like(value) for name, value in tensors.items()}
    torch.save({"state_dict": old, "ema_state_dict": tensors}, folder / "model.ckpt")
    assert same(vidgen.load_published("autoencoder", "kl-vae", folder), tensors)


def test_shards_are_read_together_and_half_precision_becomes_float32(tmp_path: Path) -> None:
    folder, tensors = written(tmp_path)
    names = sorted(tensors)
    for number, some in enumerate((names[::2], names[1::2])):
        save_file({n: tensors[n].half() for n in some}, folder / f"part-{number}.safetensors")
    part = vidgen.load_published("autoencoder", "kl-vae", folder)
    assert same(part, {name: value.half().float() for name, value in tensors.items()})


class Dangerous:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_bad_folders_are_refused_with_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, tensors = written(tmp_path)
    with pytest.raises(CheckpointError, match="holds no weights"):
        vidgen.load_published("autoencoder", "kl-vae", folder)
    torch.save({"state_dict": tensors, "x": Dangerous()}, folder / "model.ckpt")
    with pytest.raises(CheckpointError, match="more than tensors"):
        vidgen.load_published("autoencoder", "kl-vae", folder)
    assert "never run" not in capsys.readouterr().out
    (folder / "model.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError):
        vidgen.load_published("autoencoder", "kl-vae", folder)
    (folder / "model.ckpt").unlink()
    missing = dict(tensors)
    missing.pop("encoder.conv_in.weight")
    save_file(missing, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"lacks encoder\.conv_in\.weight"):
        vidgen.load_published("autoencoder", "kl-vae", folder)
    save_file({**tensors, "encoder.extra": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"unknown encoder\.extra"):
        vidgen.load_published("autoencoder", "kl-vae", folder)


def test_settings_that_are_not_implemented_are_refused(tmp_path: Path) -> None:
    folder, tensors = written(tmp_path, embed_dims=4)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ConfigError, match="Did you mean 'embed_dim'"):
        vidgen.load_published("autoencoder", "kl-vae", folder)
    (folder / "config.json").write_text(json.dumps({"ddconfig": {"double_z": False}}))
    with pytest.raises(ConfigError, match="'double_z' is implemented for True"):
        vidgen.load_published("autoencoder", "kl-vae", folder)


def test_parts_without_a_published_layout_say_which_have_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wf-vae"):
        vidgen.load_published("autoencoder", "sora-vae", tmp_path)
