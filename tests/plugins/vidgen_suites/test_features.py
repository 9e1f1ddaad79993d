"""Features by timm and torchvision, and the distance of their distributions, against independent references."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import timm
import torch
import torchvision
from safetensors.torch import save_file

from vidgen.errors import CheckpointError, ConfigError
from vidgen_suites.config import GenerationConfig
from vidgen_suites.features import Features
from vidgen_suites.frechet import frechet_distance

VIDEO = torchvision.models.list_models(module=torchvision.models.video)
PICTURES = "test_resnet"  # of timm: 0.5 M parameters


def clips(count: int = 2, frames: int = 4) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, frames, 20, 24, 3), np.uint8))


def test_the_distance_is_scipys():
    chance = np.random.default_rng(0)
    one = chance.normal(size=(40, 6)) @ chance.normal(size=(6, 6)) + 100
    two = chance.normal(size=(50, 6)) @ chance.normal(size=(6, 6)) + 101
    covariances = [np.cov(values, rowvar=False) for values in (one, two)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    known = np.square(one.mean(0) - two.mean(0)).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(torch.from_numpy(one), torch.from_numpy(two)) == pytest.approx(known, rel=1e-6)


def test_fewer_videos_than_features_give_a_distance():
    chance = torch.Generator().manual_seed(0)
    one, two = (torch.randn(3, 8, generator=chance) for _ in range(2))
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-4)
    assert 0 < frechet_distance(one, two) == pytest.approx(frechet_distance(two, one), rel=1e-4)


def test_random_features_are_always_the_same_and_say_so():
    torch.manual_seed(5)
    one = Features(PICTURES)
    after = torch.rand(1)
    two = Features(PICTURES)
    assert one.label == f"{PICTURES}, random features"
    assert torch.equal(one(clips()), two(clips()))
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), after)  # making it draws from no generator of ours


def test_a_timm_models_file_gives_its_features(tmp_path):
    torch.manual_seed(3)
    model = timm.create_model(PICTURES, pretrained=False).eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    for weights in (tmp_path, tmp_path / "model.safetensors"):
        own = Features(PICTURES, str(weights))
        assert own.label == f"{PICTURES}, {weights.name}"
        found = own(clips())
    facts = timm.data.resolve_model_data_config(model)
    frames = torch.from_numpy(clips()[1]).permute(0, 3, 1, 2) / 255
    frames = torch.nn.functional.interpolate(frames, facts["input_size"][1:], mode="bilinear", antialias=True)
    frames = torchvision.transforms.functional.normalize(frames, facts["mean"], facts["std"])
    with torch.inference_mode():
        known = model.forward_head(model.forward_features(frames), pre_logits=True).mean(0)
    assert torch.allclose(found[1], known, atol=1e-5)


def test_a_video_models_file_gives_its_features(tmp_path):
    torch.manual_seed(3)
    model = torchvision.models.video.r3d_18(weights=None).eval()
    torch.save(model.state_dict(), tmp_path / "r3d.pth")
    found = Features("r3d_18", str(tmp_path / "r3d.pth"))(clips(1))
    seen = []
    model.avgpool.register_forward_hook(lambda *values: seen.append(values[-1].flatten(1)))
    clip = torch.from_numpy(clips(1)[0]).permute(0, 3, 1, 2) / 255
    clip = torch.nn.functional.interpolate(clip, (112, 112), mode="bilinear", antialias=True)
    facts = torchvision.models.video.R3D_18_Weights.DEFAULT.transforms()
    clip = torchvision.transforms.functional.normalize(clip, facts.mean, facts.std)
    with torch.inference_mode():
        model(clip.permute(1, 0, 2, 3)[None])
    assert found.shape == (1, 512)
    assert torch.allclose(found, seen[0], atol=1e-4)
    still = [np.repeat(video[:1], 4, axis=0) for video in clips(1)]
    assert not torch.allclose(Features("r3d_18")(still), Features("r3d_18")(clips(1)))  # it sees motion


@pytest.mark.parametrize("name", VIDEO)
def test_every_video_model_takes_clips_of_any_length(name):
    with torch.device("meta"):
        own = Features(name, device="meta")
    network = own.network
    for frames in (1, 17):
        seen = network.least if network.fixed else max(frames, network.least)
        with torch.inference_mode():
            out = network.model(torch.zeros(1, 3, seen, *network.size, device="meta"))
        assert out.ndim == 2
        assert out.shape[1] >= 256


def test_few_frames_are_repeated_evenly():
    own = Features("mvit_v1_b")
    seen = []
    own.network.model.forward = lambda x: seen.append(x) or torch.zeros(1, 4)
    video = np.zeros((4, 8, 8, 3), np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None, None]
    own([video, np.repeat(video, 8, axis=0)])
    levels = [one[0, 0, :, 0, 0] for one in seen]
    assert [len(one) for one in levels] == [16, 16]
    for one in levels:
        assert one.unique(return_counts=True)[1].min() >= 2  # every frame is there
        assert (one.diff() >= 0).all()


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        ("resnet5O", "", "Did you mean 'resnet50"),
        ("resnet50", "a1_in2k", "Did you mean 'a1_in1k'"),
        ("r3d_18", "KINETICS40_V1", "Did you mean 'KINETICS400_V1'"),
    ],
)
def test_slips_are_said_with_what_is_near(name, weights, words):
    with pytest.raises(ConfigError, match=words):
        Features(name, weights)


def test_weights_of_another_model_are_refused(tmp_path):
    save_file({"conv.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name in (PICTURES, "r3d_18"):
        with pytest.raises(CheckpointError, match="of another model"):
            Features(name, str(tmp_path / "other.safetensors"))


@pytest.mark.parametrize("name", ["resnet18", "r3d_18"])
def test_without_network_the_cache_is_looked_into_and_its_lack_said(name, tmp_path, monkeypatch):
    monkeypatch.setattr("vidgen.hub.hub_reachable", lambda: False)
    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="cannot be fetched") as caught:
        Features(name, "default")
    assert "\n" not in str(caught.value)


def unreachable(*_: object, **__: object) -> None:
    raise OSError("no network")


def test_a_tag_is_read_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(4)
    tensors = torchvision.models.video.r3d_18(weights=None).state_dict()
    name = torchvision.models.video.R3D_18_Weights.KINETICS400_V1.url.rpartition("/")[2]
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(tensors, tmp_path / "hub" / "checkpoints" / name)
    own = Features("r3d_18", "KINETICS400_V1")
    assert own.label == "r3d_18, KINETICS400_V1"
    assert torch.equal(own.network.model.state_dict()["stem.0.weight"], tensors["stem.0.weight"])


def test_paths_that_lead_nowhere_are_said_before_anything_runs():
    for fields in (
        {"features": "r3d_18", "weights": "no/where.pth"},
        {"clip": "ViT-B-32", "clip_weights": "./no"},
    ):
        with pytest.raises(ConfigError, match="no file or folder"):
            GenerationConfig(**fields).check()
    GenerationConfig(features="r3d_18", weights="KINETICS400_V1").check()
    with pytest.raises(ConfigError, match="name a model"):
        GenerationConfig(weights="default")


def test_the_suite_names_what_it_compared_by(measured):
    work = measured(GenerationConfig(samples=2, videos=0, features=PICTURES))
    found = work.measures[f"frechet distance ({PICTURES}, random features)"]
    assert found.value > 0
    assert found.better == "less"
