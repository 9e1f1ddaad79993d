"""LPIPS from files in the published layouts, against the package of its authors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from vidgen.errors import CheckpointError, ConfigError, SizeError
from vidgen_suites.config import ReconstructionConfig
from vidgen_suites.lpips import Lpips

NETWORKS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}


@pytest.fixture(scope="module")
def videos():
    chance = np.random.default_rng(0)
    clip = chance.integers(0, 256, (3, 40, 48, 3), np.uint8)
    return clip, np.clip(clip + chance.normal(0, 30, clip.shape), 0, 255).astype(np.uint8)


def backbone(name: str) -> dict[str, torch.Tensor]:
    """Random weights under torchvision's names, without the classifier, whose size is of no use here."""
    torch.manual_seed(1)
    model = getattr(torchvision.models, NETWORKS[name])(weights=None).features
    return {f"features.{key}": value for key, value in model.state_dict().items()}


def theirs(name: str, tensors: dict[str, torch.Tensor]):
    """Return the authors' network with the same backbone and their linear weights."""
    lpips = pytest.importorskip("lpips")
    model = lpips.LPIPS(net=name, pnet_rand=True, verbose=False)
    plain = {f"features.{key.split('.', 1)[1]}": key for key in model.net.state_dict()}
    model.net.load_state_dict({own: tensors[key] for key, own in plain.items()})
    return model


def score(model, made, clip) -> float:
    def frames(video):
        return torch.from_numpy(video).permute(0, 3, 1, 2).float() / 127.5 - 1

    with torch.inference_mode():
        return model(frames(made), frames(clip)).mean().item()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_published_backbone_equals_the_authors_package(tmp_path, videos, name):
    clip, made = videos
    tensors = backbone(name)
    save_file(tensors, tmp_path / "model.safetensors")
    known = score(theirs(name, tensors), made, clip)
    own = Lpips(str(tmp_path))
    assert own.name == name
    assert own(made, clip) == pytest.approx(known, rel=1e-4)
    assert own(clip, clip) == 0.0
    assert own(made, clip) > 0


@pytest.mark.parametrize("name", ["alex", "squeeze"])
def test_a_whole_network_brings_its_linear_weights(tmp_path, videos, name):
    clip, made = videos
    model = theirs(name, backbone(name))
    published = score(model, made, clip)
    with torch.no_grad():
        for key, value in model.named_parameters():
            if key.startswith("lin"):
                value.uniform_()
    torch.save(model.state_dict(), tmp_path / "whole.pth")
    assert Lpips(str(tmp_path / "whole.pth"))(made, clip) == pytest.approx(score(model, made, clip), rel=1e-4)
    assert score(model, made, clip) != pytest.approx(published, rel=1e-2)


def test_other_weights_are_refused(tmp_path):
    tensors = backbone("alex")
    del tensors["features.10.bias"]
    save_file(tensors, tmp_path / "part.safetensors")
    with pytest.raises(CheckpointError, match=r"lacks features\.10\.bias"):
        Lpips(str(tmp_path / "part.safetensors"))
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "resnet.safetensors")
    with pytest.raises(CheckpointError, match="none of the networks"):
        Lpips(str(tmp_path / "resnet.safetensors"))
    with pytest.raises(CheckpointError, match="several"):
        Lpips(str(tmp_path))
    torch.save({"a": print}, tmp_path / "code.pth")
    with pytest.raises(CheckpointError, match="more than tensors"):
        Lpips(str(tmp_path / "code.pth"))


def test_frames_too_small_to_see_are_refused(tmp_path):
    save_file(backbone("alex"), tmp_path / "model.safetensors")
    small = np.zeros((1, 16, 64, 3), np.uint8)
    with pytest.raises(SizeError, match="32x32"):
        Lpips(str(tmp_path))(small, small)


def test_a_path_that_leads_nowhere_is_said_before_anything_runs():
    with pytest.raises(ConfigError, match="no file or folder 'nowhere'"):
        ReconstructionConfig(lpips_weights="nowhere").check()


def test_the_suite_measures_it_only_with_weights(measured, tmp_path):
    save_file(backbone("alex"), tmp_path / "model.safetensors")
    size = {"frames": 2, "height": 32, "width": 32}
    without = measured(ReconstructionConfig(clips=1), sampling=size)
    assert not [name for name in without.measures if "lpips" in name]
    work = measured(ReconstructionConfig(clips=2, lpips_weights=str(tmp_path)), sampling=size)
    assert len(work.measures["lpips (alex)"].samples) == 2
    assert work.measures["lpips (alex)"].better == "less"
