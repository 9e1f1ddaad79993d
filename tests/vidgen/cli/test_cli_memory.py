"""``vidgen generate`` with little memory, weights in fewer bits, and LoRAs."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from vidgen.video import Video

PROMPT = "a large red circle moving left on a black background"
QUICK = (
    "--frames",
    "5",
    "--height",
    "32",
    "--width",
    "32",
    "--steps",
    "2",
    "--seed",
    "0",
    "--dtype",
    "float32",
)


def made(vidgen, path, *options):
    result = vidgen("generate", PROMPT, *options, *QUICK, "-o", str(path))
    assert result.exit_code == 0, result.output
    return result


def test_placements_make_the_same_and_say_what_was_chosen(vidgen, tmp_path):
    out = tmp_path / "a.npy"
    result = made(vidgen, out, "--device", "cpu")
    assert "memory='all' on cpu" in result.stderr
    assert "for 5x32x32 of" in result.stderr
    plain = out.read_bytes()
    result = made(vidgen, out, "--device", "cpu", "--memory", "layers", "--decode", "stream")
    assert "memory='layers' on cpu" in result.stderr
    assert out.read_bytes() == plain
    made(
        vidgen,
        tmp_path / "a.mp4",
        "--device",
        "cpu",
        "--memory",
        "stages",
        "--storage",
        "fp8",
        "--decode",
        "16",
    )
    notes = Video.open(tmp_path / "a.mp4").metadata["memory"]
    assert "memory='stages'" in notes
    assert "weights as fp8, decoded in tiles of 16" in notes


def test_loras_add_up_by_their_scales(vidgen, tmp_path):
    name = "transformer.blocks.0.mlp.fc2"
    down, up = torch.randn(2, 768), torch.randn(192, 2)
    save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, tmp_path / "x.safetensors")
    out, file = tmp_path / "a.npy", tmp_path / "x.safetensors"
    made(vidgen, out)
    plain = out.read_bytes()
    result = made(vidgen, out, "--lora", f"{file}@0.5", "--lora", str(file))
    assert "1 weights, scale=0.5" in result.stderr
    assert "scale=1.0" in result.stderr
    assert out.read_bytes() != plain
    made(vidgen, out, "--lora", f"{file}@0")
    assert out.read_bytes() == plain


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--memory", "stage"), "'stage' is not one of"),
        (("--decode", "tile"), "decode is auto, whole, stream"),
        (("--decode", "9"), "A tile of 9 pixels"),
        (("--storage", "fp4"), "There is no storage 'fp4'"),
        (("--lora", "none.safetensors"), "There is no LoRA"),
        (("--device", "cuda:77"), "--device cuda:77 cannot be used"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(refused, tmp_path, options, says):
    assert says in refused("generate", PROMPT, *options, *QUICK, "-o", str(tmp_path / "out.mp4"))
