"""`sora-dit` with its tokens shared out between two processes over gloo: the loss and gradients of one process."""

from __future__ import annotations

import os

import pytest
import torch
import torch.distributed as dist
from torch import nn

import vidgen
from vidgen.errors import SizeError
from vidgen.interfaces import Condition, PackedLatents, TextEmbedding
from vidgen.nn.ulysses import process_group, sequence_parallel
from vidgen.size import Size

CASES = {
    "time": (Size(3, 6, 10), False),
    "time-per-frame": (Size(3, 6, 10), True),
    "uneven": (Size(3, 5, 6), True),
}


def look(model, size, per_frame):
    chance = torch.Generator().manual_seed(0)
    latents, tokens = torch.randn(2, 16, *size, generator=chance), torch.randn(2, 5, 64, generator=chance)
    time = torch.rand((2, size.frames) if per_frame else (2,), generator=chance)
    text = TextEmbedding(tokens, torch.arange(5) < torch.tensor([[5], [2]]))
    value = model(latents, time, model.prepare(text, Condition(), size)).value
    return (value - latents).square().mean()


def work(number, count, folder):
    """Be one of the processes: look at the same samples as the others."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=number, world_size=count)
    torch.manual_seed(0)
    model = vidgen.create("denoiser", "sora-dit/tiny", latent_channels=16, text_width=64)
    for parameter in model.parameters():  # what starts at zero would hide differences
        nn.init.normal_(parameter, std=0.05)
    group, page = process_group(count), {}
    for name, case in CASES.items():
        runs = []
        for sharing in (None, group):
            held: list[int] = []
            note = lambda _, args, made, held=held: held.append(made.shape[1])  # noqa: E731
            hook = model.blocks[0].mlp.register_forward_hook(note)
            with sequence_parallel(sharing):
                loss = look(model, *case)
            hook.remove()
            loss.backward()
            for p in model.parameters():
                dist.all_reduce(p.grad)
                p.grad /= count
            runs.append((float(loss), [p.grad.clone() for p in model.parameters()], held[0]))
            model.zero_grad()
        (whole, wanted, tokens), (shared, got, own) = runs
        page[name] = {
            "losses": (whole, shared),
            "error": max(
                float((a - b).abs().max() / b.abs().max()) for a, b in zip(got, wanted, strict=True)
            ),
            "tokens": (tokens, own),
        }
    parts = {"autoencoder": "sora-vae/tiny", "text_encoder": "words/tiny", "scheduler": "euler"}
    torch.manual_seed(0)
    pipe = vidgen.compose(denoiser="sora-dit/tiny", **parts)
    for parameter in pipe.denoiser.parameters():
        nn.init.normal_(parameter, std=0.05)
    videos = []
    for sharing in (None, group):
        with sequence_parallel(sharing):
            made = pipe("a ball", frames=5, height=32, width=48, steps=2, seed=0, show_progress=False)
        videos.append(made.tensor()[0])
    page["videos"] = torch.stack(videos)
    problems = []
    x = PackedLatents.of([torch.zeros(16, 1, 4, 4), torch.zeros(16, 1, 4, 6)])
    text = TextEmbedding(torch.zeros(2, 1, 64), torch.ones(2, 1, dtype=torch.bool))
    for sizes, latents in ((x.sizes, x), (Size(1, 2, 2), torch.zeros(2, 16, 1, 2, 2))):
        try:
            with sequence_parallel(group):
                model(latents, torch.zeros(2), model.prepare(text, Condition(), sizes))
        except SizeError as problem:
            problems.append(str(problem))
    if number == 0:
        torch.save({"page": page, "problems": problems}, f"{folder}/page.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    torch.multiprocessing.spawn(work, (2, str(folder)), nprocs=2)
    return torch.load(folder / "page.pt", weights_only=True)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_that_share_the_tokens_see_what_one_sees(name, made):
    row = made["page"][name]
    assert row["losses"][1] == pytest.approx(row["losses"][0], rel=1e-5)
    assert row["error"] < 1e-4
    whole, own = row["tokens"]
    assert own == -(-whole // 2)


def test_a_pipeline_makes_the_same_video(made):
    alone, shared = made["page"]["videos"]
    assert alone.std() > 0.01
    assert (alone - shared).abs().max() <= 2 / 255 + 1e-6  # a rounding of a pixel's value


def test_what_cannot_be_shared_out_is_refused(made):
    packed, single = made["problems"]
    assert "Packed samples cannot be shared out" in packed
    assert "1 tokens cannot be shared out among 2" in single
