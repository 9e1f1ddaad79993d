"""Parts that come and go: the same video, no more on the device than was said, and what auto chooses."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import vidgen
from vidgen.errors import ConfigError, SizeError
from vidgen.interfaces import Condition, TextEmbedding
from vidgen.sampling import memory as placing
from vidgen.sampling.device import place_of
from vidgen.sampling.footprint import LiveBytes, measure
from vidgen.sampling.memory import decoded, free_memory
from vidgen.sampling.offload import Group, Offload, units_of
from vidgen.size import Size

PARTS = {
    "autoencoder": "sora-vae/tiny",
    "denoiser": "sora-dit/tiny",
    "text_encoder": "words/tiny",
    "scheduler": "euler",
}
SMALL = {"frames": 5, "height": 32, "width": 32, "steps": 2, "seed": 0, "show_progress": False}
CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore:Random weights")


def stir(part):
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return part


@pytest.fixture
def pipe():
    torch.manual_seed(0)
    pipe = vidgen.compose(**PARTS)
    stir(pipe.denoiser)
    return pipe


@pytest.fixture
def expected(pipe):
    return pipe("a red circle", **SMALL).numpy()


@pytest.mark.parametrize("decode", ["whole", "stream"])
@pytest.mark.parametrize("memory", ["all", "stages", "layers"])
def test_every_placement_makes_the_same_video(pipe, expected, memory, decode):
    pipe.place("cpu", memory=memory, decode=decode)
    video = pipe("a red circle", **SMALL)
    assert (video.numpy() == expected).all()
    assert f"memory={memory!r}" in video.metadata["memory"]


@pytest.mark.parametrize("memory", ["stages", "layers"])
def test_pictures_as_prompts_come_through(pipe, memory):
    options = {**SMALL, "given": {0: pipe("x", **SMALL)[:1], -1: pipe("y", **SMALL)[:1]}}
    plain = pipe("a red circle", **options).numpy()
    pipe.place("cpu", memory=memory)
    assert (pipe("a red circle", **options).numpy() == plain).all()


def test_one_part_at_a_time_is_there(pipe):
    pipe.place("cpu", memory="stages")
    offload, sizes = pipe.denoiser.offload, []
    weight = {kind: Group(part, CPU).size for kind, part in pipe.modules().items()}
    assert offload.there == 0
    pipe("a red circle", **SMALL, on_step=lambda *_: sizes.append(offload.there))
    assert sizes == [weight["denoiser"]] * 2
    assert offload.there == weight["autoencoder"]
    offload.release()
    assert offload.there == 0


def test_one_block_at_a_time_is_there(pipe, expected):
    pipe.place("cpu", memory="layers")
    offload = pipe.denoiser.offload
    unit = next(unit for unit in offload.units if unit.part is pipe.denoiser)
    blocks = [group.size for group in unit.blocks.groups]
    seen = []
    for block in pipe.denoiser.blocks:
        block.mix.register_forward_hook(lambda *_: seen.append(offload.there))
    assert (pipe("a red circle", **SMALL).numpy() == expected).all()
    assert len(seen) == 2 * len(blocks)
    assert set(seen) == {unit.rest.size + blocks[0]}
    assert unit.rest.size + sum(blocks) == Group(pipe.denoiser, CPU).size


def test_all_is_put_back(pipe, expected):
    before = {kind: list(part.named_parameters()) for kind, part in pipe.modules().items()}
    pipe.place("cpu", memory="layers")
    pipe("a red circle", **SMALL)
    pipe.place("cpu", memory="stages")
    pipe("a red circle", **SMALL)
    pipe.to("cpu")
    assert pipe.placement is None
    for kind, part in pipe.modules().items():
        for (name, old), (now, new) in zip(before[kind], part.named_parameters(), strict=True):
            assert (name, id(old)) == (now, id(new))
            assert new.requires_grad
        for module in part.modules():
            assert not {"forward", "encode", "decode", "prepare", "offload"} & vars(module).keys()
    assert (pipe("a red circle", **SMALL).numpy() == expected).all()


def test_a_placed_pipeline_is_saved_whole(pipe, expected, tmp_path):
    pipe.place("cpu", memory="layers")
    pipe("a red circle", **SMALL)
    pipe.save(tmp_path / "pipe")
    assert (vidgen.load(tmp_path / "pipe")("a red circle", **SMALL).numpy() == expected).all()


def test_shared_tensors_move_once_and_stay_shared():
    module = torch.nn.ModuleDict({"a": torch.nn.Linear(3, 3), "b": torch.nn.Linear(3, 3)})
    module["b"].weight = module["a"].weight
    group = Group(module, CPU)
    assert group.size == 4 * (9 + 3 + 3)
    group.bring()
    assert module["a"].weight is module["b"].weight
    group.release()


def test_adapters_and_what_they_hold_come_together():
    torch.manual_seed(0)
    parts = {**PARTS, "text_encoder": "bytes/tiny"}
    other = vidgen.create("text_encoder", "bytes/tiny", width=32)
    pipe = vidgen.compose(
        **{**parts, "text_encoder": other, "denoiser": vidgen.create("denoiser", "sora-dit/tiny")}, adapt=True
    )
    stir(pipe.denoiser)
    plain = pipe("a red circle", **SMALL).numpy()
    assert hasattr(pipe.text_encoder, "inner")
    pipe.place("cpu", memory="stages")
    assert (pipe("a red circle", **SMALL).numpy() == plain).all()


@pytest.fixture
def on_fake_cuda(monkeypatch):
    """Tensors without values on a GPU that is not there: operations refuse what is elsewhere as CUDA's own do."""
    # what a mask says makes no difference to where tensors are
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda tensor: True)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode():
        yield torch.device("cuda:0")


def names(kind):
    """Every registered name that has a tiny preset."""
    return [name for name in vidgen.list_components(kind) if "tiny" in vidgen.find(kind, name).presets]


@pytest.mark.parametrize("by_block", [False, True])
@pytest.mark.parametrize("name", names("denoiser"))
def test_denoisers_find_all_weights_on_the_device(name, by_block, request):
    part = vidgen.create("denoiser", f"{name}/tiny")
    device = request.getfixturevalue("on_fake_cuda")
    config = part.config.follow()
    contract = config.contract()
    abilities = contract.abilities
    Offload([part], device, by_block=by_block)
    text = TextEmbedding(
        torch.zeros(2, 5, contract.text.width, device=device),
        torch.ones(2, 5, dtype=torch.bool, device=device),
    )
    fps = torch.full((2,), 8.0, device=device) if "fps" in abilities else None
    size = Size(3, 4, 4)
    assert place_of(part)[0] == device
    prepared = part.prepare(text, Condition(fps=fps), size)
    noise = torch.zeros(2, config.latent_channels, *size, device=device)
    made = part(noise, torch.full((2,), 0.5, device=device), prepared)
    assert made.value.device == device


@pytest.mark.parametrize("by_block", [False, True])
@pytest.mark.parametrize("name", names("text_encoder"))
def test_text_encoders_find_all_weights_on_the_device(name, by_block, request):
    part = vidgen.create("text_encoder", f"{name}/tiny")
    device = request.getfixturevalue("on_fake_cuda")
    Offload([part], device, by_block=by_block)
    assert part.encode(["a red ball", "two"]).tokens.device == device


def test_the_fake_device_would_tell(on_fake_cuda):
    part = torch.nn.Linear(3, 3)
    with pytest.raises(RuntimeError, match="same device"):
        part(torch.zeros(1, 3, device=on_fake_cuda))


def test_blocks_are_most_of_what_layers_saves():
    part = vidgen.create("denoiser", "sora-dit/tiny", depth=12)
    whole, layered = (units_of(part, CPU, by_block=by_block)[0].most for by_block in (False, True))
    assert whole == Group(part, CPU).size
    assert layered < 0.6 * whole


def test_live_bytes_counts_what_is_held():
    weight = torch.zeros(1000)
    with LiveBytes([weight]) as live:
        view = weight.view(10, 100)
        one = view + 1
        assert (live.now, live.most) == (4000, 4000)
        same = one.view(-1).relu_()
        del one
        two = torch.cat([same, same])
        assert (live.now, live.most) == (12000, 12000)
        del same
        assert live.now == 8000
        del two, view
    assert (live.now, live.most) == (0, 12000)


def test_the_footprint_foretells_a_larger_video(pipe):
    """What a probe of 3x8x8 latents says of decoding 5x16x16 is within a third of what that takes."""
    footprint = measure(pipe.autoencoder, pipe.denoiser, pipe.text_encoder)
    latent, large = pipe.autoencoder.latent, Size(5, 16, 16)
    pixels = latent.pixel_size(large)
    with torch.inference_mode(), LiveBytes(pipe.autoencoder.parameters()) as live:
        pipe.autoencoder.decode(torch.zeros(1, latent.channels, *large))
    assert footprint.decode * pixels.volume == pytest.approx(live.most, rel=0.33)
    assert 0 < footprint.kept < footprint.stream


GB = 10**9


@pytest.mark.parametrize(
    ("free", "memory", "decode"),
    [
        (100, "all", "whole"),
        (40, "all", "stream"),
        (22, "stages", "stream"),
        (11, "layers", "stream"),
        (None, "all", "whole"),
    ],
)
def test_auto_takes_the_first_that_fits(pipe, monkeypatch, free, memory, decode):
    weights = {
        "all": {"autoencoder": 1 * GB, "denoiser": 16 * GB, "text_encoder": 10 * GB},
        "stages": {"autoencoder": 1 * GB, "denoiser": 16 * GB, "text_encoder": 10 * GB},
        "layers": {"autoencoder": 1 * GB, "denoiser": 4 * GB, "text_encoder": 6 * GB},
    }
    decoding = {"whole": 50 * GB, "stream": 2 * GB}
    monkeypatch.setattr(placing, "_weights", lambda pipe, device, memory: weights[memory])
    monkeypatch.setattr(
        placing,
        "_work",
        lambda footprint, size, volume, batch, way: {
            "denoiser": GB,
            "autoencoder": decoding.get(way, GB),
            "text_encoder": 0,
        },
    )
    monkeypatch.setattr(placing, "_there", lambda pipe, device: 0)
    monkeypatch.setattr(placing, "free_memory", lambda device: None if free is None else free * GB)
    pipe.place("cpu")
    assert (pipe.placement.memory, pipe.placement.decode) == (memory, decode)
    assert "\n" not in pipe.placement.note


def test_auto_says_when_nothing_fits(pipe, monkeypatch):
    monkeypatch.setattr(placing, "free_memory", lambda device: 1000)
    monkeypatch.setattr(placing, "_there", lambda pipe, device: 0)
    pipe.place("cpu")
    assert "MORE THAN THERE IS" in pipe.placement.note


def test_auto_makes_room_for_a_larger_video(pipe, monkeypatch):
    pipe.place("cpu", size=Size(5, 32, 32))
    first = pipe.placement
    pipe("x", **SMALL)
    assert pipe.placement is first
    pipe("x", **{**SMALL, "frames": 9})
    assert pipe.placement.planned > first.planned
    assert "9x32x32" in pipe.placement.note


def test_tiles_are_taken_where_asked(pipe):
    whole = pipe("x", **SMALL).numpy().astype(float)
    pipe.place("cpu", memory="all", decode=16)
    tiled = pipe("x", **SMALL).numpy().astype(float)
    assert "tiles of 16" in pipe.placement.note
    assert abs(tiled - whole).mean() < 8
    pipe.place("cpu", memory="all", decode=9)
    with pytest.raises(SizeError, match="tile of 9"):
        pipe("x", **SMALL)


def test_decoded_gives_the_same_in_pieces():
    part = vidgen.create("autoencoder", "sora-vae/tiny")
    latents = torch.randn(1, part.latent.channels, 4, 4, 4)
    with torch.inference_mode():
        whole, pieces = (list(decoded(part, latents, how)) for how in ("whole", "stream"))
    assert len(pieces) > len(whole) == 1
    assert torch.allclose(torch.cat(pieces, dim=2), whole[0], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "stage"}, "memory is one of .*Did you mean 'stages'"),
        ({"decode": "tiles"}, "decode is auto, whole, stream or the side of a tile"),
        ({"storage": "fp4"}, "no storage 'fp4'.*'fp8'"),
    ],
)
def test_unknown_choices_are_refused(pipe, options, message):
    with pytest.raises(ConfigError, match=message):
        pipe.place("cpu", **options)


def test_free_memory_of_this_machine():
    assert 10**8 < free_memory(CPU) < 10**14
    assert free_memory(torch.device("meta")) is None


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="moves to a GPU need one: run with -k cuda where it is"
)
@pytest.mark.parametrize("memory", ["stages", "layers"])
def test_on_cuda_the_same_video_in_less_memory(memory):
    torch.manual_seed(0)
    pipe = vidgen.compose(
        **{**PARTS, "denoiser": vidgen.create("denoiser", "sora-dit", depth=24, width=1024)}
    )
    stir(pipe.denoiser)
    options = {**SMALL, "steps": 4}
    peaks, videos = [], []
    for choice in ("all", memory):
        pipe.place("cuda", memory=choice, decode="whole")
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        videos.append(pipe("a red circle", **options).numpy())
        peaks.append(torch.cuda.max_memory_allocated())
    assert (videos[0] == videos[1]).all()
    assert peaks[1] < (0.5 if memory == "layers" else 1.0) * peaks[0]


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="free memory of a GPU: run with -k cuda where it is"
)
def test_on_cuda_auto_fits(pipe):
    pipe.place("cuda")
    assert pipe.placement.memory == "all"
    assert pipe("x", **SMALL).metadata["memory"] == pipe.placement.note
