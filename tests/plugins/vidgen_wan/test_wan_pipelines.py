"""Whole pipelines of Wan against diffusers': the same folder, the same noise, the same video."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import vidgen
from vidgen.errors import CheckpointError, ConfigError, UnknownNameError

diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

CALL = {"height": 16, "width": 16}
PROMPT, NEGATIVE = "a red  ball &amp; a cat", "blurry"


def parts(**transformer):
    torch.manual_seed(0)
    sizes = {"vocab_size": 384, "d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4}
    return {
        "tokenizer": transformers.ByT5Tokenizer(),
        "text_encoder": transformers.UMT5EncoderModel(transformers.UMT5Config(**sizes)).eval(),
        "vae": diffusers.AutoencoderKLWan(
            base_dim=3,
            z_dim=16,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
        ).eval(),
        "transformer": wan(**transformer),
    }


def wan(**changes):
    sizes = {
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "num_layers": 2,
        "ffn_dim": 32,
        "text_dim": 32,
        "freq_dim": 256,
        "rope_max_seq_len": 32,
    }
    return diffusers.WanTransformer3DModel(**{**sizes, **changes}).eval()


def samplers():
    yield diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0)
    yield diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
    )


def noise(seed):
    return torch.randn(16, 3, 2, 2, generator=torch.Generator().manual_seed(seed))[None]


def videos(theirs, folder, *arguments, ours=None, **options):
    """Return diffusers' video and ours ``[3, T, H, W]`` of the same noise, and our pipeline."""
    theirs.set_progress_bar_config(disable=True)
    theirs.save_pretrained(folder)
    reference = theirs(
        *arguments,
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        num_frames=9,
        num_inference_steps=4,
        guidance_scale=6.0,
        latents=noise(5),
        output_type="pt",
        **CALL,
        **options,
    ).frames[0]
    pipe, last = vidgen.load(folder), {}
    pipe(
        PROMPT,
        negative=NEGATIVE,
        frames=9,
        steps=4,
        guidance=6.0,
        seed=5,
        show_progress=False,
        on_step=lambda i, x: last.update(x=x),
        **CALL,
        **(ours or {}),
    )
    with torch.inference_mode():
        made = pipe.autoencoder.decode(last["x"])[0]
    return reference.permute(1, 0, 2, 3).float() * 2 - 1, made, pipe


@pytest.mark.parametrize("sampler", list(samplers()), ids=lambda one: type(one).__name__)
def test_from_text(sampler, tmp_path):
    theirs = diffusers.WanPipeline(**parts(), scheduler=sampler)
    reference, made, pipe = videos(theirs, tmp_path)
    assert pipe.status == "native"
    torch.testing.assert_close(made, reference, atol=1e-4, rtol=0)


@pytest.mark.parametrize("sampler", list(samplers()), ids=lambda one: type(one).__name__)
def test_two_experts(sampler, tmp_path):
    theirs = diffusers.WanPipeline(**parts(), transformer_2=wan(), boundary_ratio=0.8, scheduler=sampler)
    reference, made, pipe = videos(theirs, tmp_path)
    high = pipe.denoiser.high.config
    assert high.process == pipe.denoiser.config.contract().process
    assert high.latent_space == pipe.autoencoder.latent.space
    assert pipe.recipe.denoiser.spec.name == "experts"
    assert pipe.status == "native"
    torch.testing.assert_close(made, reference, atol=1e-4, rtol=0)


def test_without_a_boundary_the_second_is_never_asked(tmp_path):
    theirs = diffusers.WanPipeline(**parts(), transformer_2=wan(), scheduler=next(samplers()))
    with pytest.warns(UserWarning, match="no boundary_ratio, so transformer_2 is never asked"):
        reference, made, pipe = videos(theirs, tmp_path)
    assert pipe.recipe.denoiser.spec.name == "wan"
    torch.testing.assert_close(made, reference, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("sampler", "what"),
    [
        (diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True), "invert_sigmas"),
        (diffusers.EulerDiscreteScheduler(), "vp-linear"),
    ],
    ids=["inverted", "of a table"],
)
def test_a_sampler_that_cannot_be_wans_is_refused(sampler, what, copy):
    sampler.save_pretrained(copy / "scheduler")
    with pytest.raises(ConfigError, match=rf"cannot be sampled with .*{what}"):
        vidgen.load(copy)


def test_a_part_that_nobody_reads_is_warned_of(copy):
    edit(copy / "model_index.json", upsampler=["diffusers", "Novel"])
    with pytest.warns(UserWarning, match=r"upsampler \(Novel\) is not read"):
        vidgen.load(copy)


def test_a_folder_without_a_transformer_is_refused(copy):
    edit(copy / "model_index.json", transformer=[None, None])
    with pytest.raises(CheckpointError, match="names no transformer"):
        vidgen.load(copy)


def picture():
    return Image.fromarray((np.random.default_rng(0).random((16, 16, 3)) * 255).astype("uint8"))


def from_image(*, tokens, eps=1e-5, mean=0.5):
    changes, extra = {"in_channels": 36, "out_channels": 16}, {}
    if tokens:
        sizes = {"hidden_size": 4, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}
        vision = transformers.CLIPVisionConfig(
            **sizes, projection_dim=4, image_size=32, patch_size=16, layer_norm_eps=eps
        )
        extra = {
            "image_encoder": transformers.CLIPVisionModel(vision).eval(),
            "image_processor": transformers.CLIPImageProcessor(size=32, crop_size=32, image_mean=[mean] * 3),
        }
        changes |= {"image_dim": 4, "added_kv_proj_dim": 24}
    sampler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    return diffusers.WanImageToVideoPipeline(**parts(**changes), **extra, scheduler=sampler)


@pytest.mark.parametrize("tokens", [True, False], ids=["2.1, with an image's tokens", "2.2, without"])
def test_from_an_image(tokens, tmp_path):
    image, theirs = picture(), from_image(tokens=tokens)
    reference, made, pipe = videos(theirs, tmp_path / "theirs", image, ours={"image": image})
    torch.testing.assert_close(made, reference, atol=1e-4, rtol=0)
    pipe.save(tmp_path / "ours")
    again = vidgen.load(tmp_path / "ours")
    options = {"image": image, "frames": 5, "steps": 2, "seed": 1, **CALL}
    assert np.array_equal(again(PROMPT, **options).numpy(), pipe(PROMPT, **options).numpy())


def test_a_saved_pipeline_needs_nothing_of_the_folder_that_it_came_from(tmp_path):
    theirs = from_image(tokens=True, eps=1e-2, mean=0.3)
    theirs.save_pretrained(tmp_path / "theirs", variant="fp16")
    pipe = vidgen.load(tmp_path / "theirs")
    options = {"image": picture(), "frames": 5, "steps": 2, "seed": 1, **CALL}
    made = pipe(PROMPT, **options).numpy()
    pipe.save(tmp_path / "ours")
    shutil.rmtree(tmp_path / "theirs")
    again = vidgen.load(tmp_path / "ours")
    assert again.text_encoder.config.norm_eps == 1e-2
    assert np.array_equal(again(PROMPT, **options).numpy(), made)


def test_an_encoder_of_images_is_read_strictly(tmp_path):
    from_image(tokens=True).save_pretrained(tmp_path)
    path = tmp_path / "image_encoder" / "model.safetensors"
    whole, tensors = path.read_bytes(), load_file(path)
    lacking = next(name for name in tensors if "layers.0.mlp.fc1.weight" in name)
    save_file(
        {name: one for name, one in tensors.items() if name != lacking}, path, metadata={"format": "pt"}
    )
    with pytest.raises(CheckpointError, match=r"image_encoder lack .*layers\.0\.mlp\.fc1\.weight"):
        vidgen.load(tmp_path)
    path.write_bytes(whole[:-50])
    with pytest.raises(CheckpointError, match="image_encoder cannot be read"):
        vidgen.load(tmp_path)
    path.write_bytes(whole)
    (tmp_path / "image_processor" / "preprocessor_config.json").write_text("{")
    with pytest.raises(CheckpointError, match="image_processor cannot be read"):
        vidgen.load(tmp_path)
    shutil.rmtree(tmp_path / "image_processor")
    with pytest.raises(CheckpointError, match="lacks the folder 'image_processor'"):
        vidgen.load(tmp_path)


def same_to_diffusers(theirs, folder, *arguments, **options):
    """Load, save, load and export; then diffusers must read the same weights and settings and make the same video."""
    theirs.save_pretrained(folder / "theirs")
    vidgen.load(folder / "theirs").save(folder / "ours")
    vidgen.export(vidgen.load(folder / "ours"), folder / "back")
    again = type(theirs).from_pretrained(folder / "back")
    assert {name for name, part in again.components.items() if part is not None} == {
        name for name, part in theirs.components.items() if part is not None
    }
    for name in ("vae", "transformer", "transformer_2", "text_encoder"):
        if getattr(theirs, name) is not None:
            before, after = (getattr(pipe, name).state_dict() for pipe in (theirs, again))
            assert before.keys() == after.keys()
            assert all(torch.equal(before[key], after[key]) for key in before), name
    for name in ("vae", "transformer", "scheduler"):
        before, after = (json.loads(getattr(pipe, name).to_json_string()) for pipe in (theirs, again))
        assert all(after[key] == value for key, value in before.items() if not key.startswith("_")), name
    videos = []
    for pipe in (theirs, again):
        pipe.set_progress_bar_config(disable=True)
        settings = {"num_frames": 9, "num_inference_steps": 3, "output_type": "pt", **CALL, **options}
        made = pipe(*arguments, prompt=PROMPT, negative_prompt=NEGATIVE, latents=noise(1), **settings)
        videos.append(made.frames)
    # The same numbers at other places in memory are summed in another order.
    torch.testing.assert_close(*videos, atol=1e-5, rtol=0)


@pytest.mark.parametrize("experts", [1, 2])
def test_written_back_it_is_the_same_to_diffusers(experts, tmp_path):
    sampler = diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0)
    extra = {"transformer_2": wan(), "boundary_ratio": 0.8} if experts == 2 else {}
    same_to_diffusers(diffusers.WanPipeline(**parts(), **extra, scheduler=sampler), tmp_path)


def test_from_an_image_too(tmp_path):
    image, theirs = picture(), from_image(tokens=True)
    same_to_diffusers(theirs, tmp_path, image)


def test_another_solver_is_exported_where_a_published_sampler_does_the_same(tmp_path):
    *_, sampler = samplers()
    diffusers.WanPipeline(**parts(), scheduler=sampler).save_pretrained(tmp_path / "theirs")
    pipe = vidgen.load(tmp_path / "theirs")
    told = r"DPMSolverMultistepScheduler would with begin='unit', grid={'name': 'shifted', .*'first': 0\.999}"
    with pytest.raises(ConfigError, match=told):
        vidgen.export(pipe.replace(scheduler="dpmpp-2m"), tmp_path / "back")
    grid = {"name": "shifted", "shift": 3.0, "first": 0.999}
    solver = {"name": "dpmpp-2m", "config": {"grid": grid, "begin": "unit"}}
    pipe = pipe.replace(scheduler=solver)
    vidgen.export(pipe, tmp_path / "back")
    theirs = diffusers.WanPipeline.from_pretrained(tmp_path / "back")
    assert type(theirs.scheduler).__name__ == "DPMSolverMultistepScheduler"
    reference, made, _ = videos(theirs, tmp_path / "again")
    torch.testing.assert_close(made, reference, atol=1e-4, rtol=0)


def test_what_has_no_layout_is_not_exported(tmp_path):
    pipe = vidgen.compose(
        autoencoder="sora-vae/tiny", denoiser="sora-dit/tiny", text_encoder="bytes/tiny", scheduler="euler"
    )
    with pytest.raises(ConfigError, match="No layout knows"):
        vidgen.export(pipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Folders that are not whole


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("wan") / "whole"
    sampler = diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0)
    diffusers.WanPipeline(**parts(), scheduler=sampler).save_pretrained(path)
    return path


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_shards_and_half_precision_are_read(copy):
    model = diffusers.WanTransformer3DModel.from_pretrained(copy / "transformer")
    shutil.rmtree(copy / "transformer")
    model.to(torch.bfloat16).save_pretrained(copy / "transformer", max_shard_size="20KB")
    assert len(list((copy / "transformer").glob("*.safetensors"))) > 1
    pipe = vidgen.load(copy, dtype="bfloat16")
    assert {p.dtype for p in pipe.denoiser.parameters()} == {torch.bfloat16}
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, pipe.denoiser.state_dict()[name]), name
    assert {p.dtype for p in vidgen.load(copy).denoiser.parameters()} == {torch.float32}
    next((copy / "transformer").glob("*-00002-*.safetensors")).unlink()
    with pytest.raises(CheckpointError, match=r"lacks 1 of .* files of weights"):
        vidgen.load(copy)


@pytest.mark.parametrize("name", ["vae", "transformer", "text_encoder", "scheduler", "tokenizer"])
def test_a_missing_part_is_named(copy, name):
    shutil.rmtree(copy / name)
    with pytest.raises(CheckpointError, match=rf"lacks the folder '{name}'.*fetch it again"):
        vidgen.load(copy)


def test_half_a_file_is_refused(copy):
    path = copy / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        vidgen.load(copy)


def test_a_pickle_with_code_is_not_opened(copy):
    (copy / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({"f": shutil.rmtree}, copy / "vae" / "diffusion_pytorch_model.bin")
    with pytest.raises(CheckpointError, match="more than tensors"):
        vidgen.load(copy)


def test_unknown_classes_are_named_with_what_is_read(copy):
    edit(copy / "model_index.json", vae=["diffusers", "AutoencoderKLSomething"])
    with pytest.raises(UnknownNameError, match=r"AutoencoderKLSomething.*AutoencoderKLWan"):
        vidgen.load(copy)
    edit(copy / "model_index.json", _class_name="NovelPipeline")
    with pytest.raises(UnknownNameError, match=r"NovelPipeline.*WanPipeline"):
        vidgen.load(copy)


def test_a_field_of_a_newer_version_is_named(copy):
    edit(copy / "transformer" / "config.json", mixture_of_depths=3)
    with pytest.raises(ConfigError, match="mixture_of_depths"):
        vidgen.load(copy)


@pytest.mark.parametrize(
    ("file", "field", "value"),
    [
        ("vae/config.json", "latents_std", [0.0] * 16),
        ("vae/config.json", "latents_std", None),
        ("transformer/config.json", "num_attention_heads", None),
        ("scheduler/scheduler_config.json", "flow_shift", None),
        ("scheduler/scheduler_config.json", "num_train_timesteps", 0),
        ("scheduler/scheduler_config.json", "disable_corrector", None),
    ],
)
def test_a_field_that_cannot_be_read_is_named_with_its_file(copy, file, field, value):
    list(samplers())[1].save_pretrained(copy / "scheduler")
    edit(copy / file, **{field: value})
    with pytest.raises(ConfigError, match=rf"{file}: {field} cannot be ") as caught:
        vidgen.load(copy)
    assert "\n" not in str(caught.value)


def test_as_many_channels_go_out_as_come_in_where_the_file_says_none(copy):
    edit(copy / "transformer" / "config.json", out_channels=None)
    assert vidgen.load(copy).status == "native"


def test_a_folder_is_checked_without_torch_and_before_weights(copy, monkeypatch):
    import vidgen.tensors

    monkeypatch.setattr(vidgen.tensors.Tensors, "read", lambda *_: pytest.fail("weights were read"))
    from vidgen.layout import read_pipeline

    recipe = read_pipeline(copy)
    assert recipe.status() == "native"
    assert recipe.problems() == []


def test_another_autoencoder_is_foreign_and_said_so(copy):
    pipe = vidgen.load(copy)
    with pytest.raises(vidgen.errors.ContractError, match=r"latent space.*foreign=True"):
        pipe.replace(autoencoder="wan-vae/tiny")
    assert pipe.replace(autoencoder="wan-vae/tiny", foreign=True).status == "must be trained"
    assert pipe.replace(scheduler="dpmpp-2m").status == "native"


def test_check_reads_such_a_folder(folder):
    from typer.testing import CliRunner

    from vidgen.cli.app import app

    done = CliRunner().invoke(app, ["check", str(folder)])
    assert done.exit_code == 0, done.output
    assert "native" in done.output


def test_export_by_the_command_line(folder, tmp_path):
    from typer.testing import CliRunner

    from vidgen.cli.app import app

    for source, target, layout in ((folder, "ours", "vidgen"), (tmp_path / "ours", "back", "diffusers")):
        done = CliRunner().invoke(app, ["export", str(source), str(tmp_path / target), "--format", layout])
        assert done.exit_code == 0, done.output
    assert (tmp_path / "back" / "model_index.json").exists()
    done = CliRunner().invoke(app, ["export", str(folder), str(tmp_path / "back")])
    assert done.exit_code == 0, done.output  # a folder that it wrote is replaced
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    done = CliRunner().invoke(app, ["export", str(folder), str(tmp_path / "other")])
    assert done.exit_code == 2


def test_of_a_repository_only_the_parts_are_fetched(folder, tmp_path, monkeypatch):
    import fnmatch

    import huggingface_hub

    repository = shutil.copytree(folder, tmp_path / "repository")
    (repository / "whole.safetensors").write_bytes(b"the same weights in one file")
    (repository / "evil.py").write_text("raise SystemExit")
    (repository / "vae" / "evil.py").write_text("raise SystemExit")
    asked = []

    def fetch(source, *, allow_patterns, revision, local_files_only):
        asked.append((source, revision, local_files_only))
        files = [path for path in repository.rglob("*") if path.is_file()]
        for path in files:
            name = str(path.relative_to(repository))
            if any(fnmatch.fnmatch(name, pattern) for pattern in allow_patterns):
                target = tmp_path / "cache" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
        return str(tmp_path / "cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    pipe = vidgen.load("someone/wan", revision="main", offline=True)
    assert pipe.status == "native"
    assert asked == [("someone/wan", "main", True)] * 2
    assert not list((tmp_path / "cache").rglob("*.py"))
    assert not (tmp_path / "cache" / "whole.safetensors").exists()
