"""Every combination of shipped parts composes, learns and samples, or is refused with a reason.

`make test` runs combinations in which every pair of parts occurs; `make test-all` runs all.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch

import vidgen
from tests.plugins.pairwise import pairs, pairwise_cover
from vidgen.errors import ContractError
from vidgen.matrix import addresses, combinations
from vidgen.parts import Address
from vidgen.process import ProcessSpec
from vidgen.size import Size
from vidgen.spec import INTERFACES
from vidgen.testing import Subject
from vidgen.testing.probe import PROMPTS, video
from vidgen.train.config import TrainConfig
from vidgen.train.objectives import DenoiserObjective
from vidgen.train.optimizers import make_optimizers

pytestmark = pytest.mark.filterwarnings("ignore:Random weights")

BASE = {
    "autoencoder": "sora-vae/tiny",
    "denoiser": "sora-dit/tiny",
    "text_encoder": "words/tiny",
    "scheduler": "euler",
}


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny parts gain nothing from a second core, and lose much to whatever else runs on it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def shipped(kind):
    """Return every part of a kind by name: its smallest preset, and each of its shipped weights."""
    small = [Subject.of(kind, name).label for name in vidgen.list_components(kind)]
    return small + [address for address in addresses(kind) if "@" in address]


PARTS = {kind: shipped(kind) for kind in INTERFACES}
EVERY = list(combinations(PARTS))
RUN = {tuple(one.parts.values()): one.status for one in EVERY if one.status != "refused"}
COVER = set(pairwise_cover(RUN))
REFUSED = {tuple(one.parts.values()): one.reasons for one in EVERY if one.status == "refused"}


def compose(row, **options):
    return vidgen.compose(**dict(zip(INTERFACES, row, strict=True)), **options)


def test_every_part_and_every_pair_that_fits_is_covered(record_property):
    counts = Counter(one.status for one in EVERY)
    product = " x ".join(f"{len(names)} {kind}s" for kind, names in PARTS.items()).replace("_", " ")
    record_property(
        "summary",
        f"combinations: {product} = {len(EVERY)}: {counts['native']} native, "
        f"{counts['must be trained']} must be trained, {counts['refused']} refused; pairwise cover {len(COVER)}",
    )
    assert RUN.keys() >= COVER
    assert set().union(*map(pairs, COVER)) == set().union(*map(pairs, RUN))
    assert {part for row in COVER for part in row} == {part for names in PARTS.values() for part in names}


def test_every_kind_of_latents_is_among_them():
    found = [
        vidgen.find("autoencoder", name).preset("tiny") for name in vidgen.list_components("autoencoder")
    ]
    latents = [settings.contract().latent for settings in found]
    assert {latent.frame_rule for latent in latents} == {"any", "causal", "multiple"}
    assert {latent.codebook is None for latent in latents} == {True, False}
    assert {latent.time_stride == 1 for latent in latents} == {True, False}


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=" ".join(row), marks=() if row in COVER else pytest.mark.slow) for row in RUN],
)
def test_a_combination_that_fits_learns_and_samples(row):
    torch.manual_seed(0)
    pipe = compose(row)
    assert pipe.status == RUN[row]
    learns(pipe)
    samples(pipe)


def test_what_does_not_fit_is_refused_with_reasons_and_nothing_is_built(monkeypatch):
    monkeypatch.setattr("vidgen.sampling.assembly.make", lambda slot: pytest.fail(f"{slot} was built"))
    misfits = {}
    for kind, names in PARTS.items():  # all presets of one kind among one of each part of the others
        presets = PARTS | {kind: list(dict.fromkeys([*addresses(kind, "*/*"), *names]))}
        misfits |= {one.reasons: one.parts for one in combinations(presets) if one.status == "refused"}
    # Of combinations with the same reasons one is enough.
    assert {one.reasons for one in EVERY if one.status == "refused"} <= misfits.keys()
    for reasons, parts in misfits.items():
        with pytest.raises(ContractError) as caught:
            vidgen.compose(**parts)
        assert str(caught.value) == " ".join(reasons)
        names = [(kind.replace("_", " "), Address.parse(address).name) for kind, address in parts.items()]
        for reason in reasons:
            assert sum(f"{kind} '{name}'" in reason for kind, name in names) == 2


@pytest.mark.slow
@pytest.mark.parametrize("row", pairwise_cover(REFUSED), ids=" ".join)
def test_the_remedies_of_what_is_refused_hold(row):
    torch.manual_seed(0)
    if any("choose a solver that follows the denoiser" in reason for reason in REFUSED[row]):
        with pytest.raises(ContractError, match="choose a solver that follows the denoiser"):
            compose(row, foreign=True, adapt=True)
        row = (*row[:-1], "euler")
    pipe = compose(row, foreign=True, adapt=True)
    assert pipe.status == "must be trained"
    learns(pipe)
    samples(pipe)


@pytest.mark.parametrize("name", vidgen.list_components("denoiser"))
def test_epsilon_of_pure_noise_wants_a_grid_that_starts_below_it(name):
    noise = ProcessSpec(family="vp-linear", zero_terminal_snr=True)
    blind = vidgen.find("denoiser", name).preset("tiny").replace(process=noise, prediction="epsilon")
    with pytest.raises(ContractError, match=rf"'{name}' and scheduler 'euler' differ in first time"):
        vidgen.compose(**BASE | {"denoiser": blind})
    below = {"name": "euler", "config": {"start": 0.999}}
    samples(vidgen.compose(**BASE | {"denoiser": blind, "scheduler": below}))


def changed(kind, name, **fields):
    return {kind: {"name": name, "preset": "tiny", "config": fields}}


@pytest.mark.parametrize(
    "parts",
    [
        *(
            changed("denoiser", "opensora-plan", inpaint=True) | {"autoencoder": name}
            for name in ("wf-vae/tiny", "videogpt-vqvae/tiny", "kl-vae/tiny")
        ),
        changed("autoencoder", "wf-vae", time_stride=8),
        changed("denoiser", "sora-dit", patch=[2, 2, 2]),
        changed("denoiser", "videocrafter2", text_padding="attended") | {"text_encoder": "open-clip/tiny"},
        changed("text_encoder", "t5", padding="zeros"),
        changed("scheduler", "dpmpp-2m", grid="shifted/dynamic"),
    ],
    ids=str,
)
def test_other_settings_learn_and_sample_too(parts):
    torch.manual_seed(0)
    pipe = vidgen.compose(**BASE | parts)
    learns(pipe)
    samples(pipe)


def a_size(pipe):
    """Return a small video size that the parts can make."""
    most = pipe.denoiser.config.contract().max_latent or Size(2, 4, 4)
    return pipe.autoencoder.latent.pixel_size(Size(*map(min, Size(2, 4, 4), most)))


def learns(pipe):
    """Take a training step of the denoiser and, with it, of the text encoder."""
    stir(pipe)
    settings = TrainConfig()
    objective = DenoiserObjective(pipe.denoiser, pipe.text_encoder, settings).train()
    before = {name: value.clone() for name, value in objective.named_parameters()}
    with torch.no_grad():
        latents = pipe.autoencoder.encode(video(a_size(pipe), batch=2))
    losses = objective(latents, PROMPTS, torch.Generator().manual_seed(0))
    loss = sum(losses.values())
    assert loss.isfinite()
    loss.backward()
    for part in (pipe.denoiser, pipe.text_encoder):
        gradients = [p.grad for p in part.parameters() if p.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.abs().sum() > 0 for gradient in gradients)
    for optimizer in make_optimizers(objective, settings):
        optimizer.step()
    for part in ("denoiser.", "text_encoder."):
        moved = {n for n, p in objective.named_parameters() if not torch.equal(p, before[n])}
        assert any(name.startswith(part) for name in moved)
    objective.eval()


def stir(pipe):
    """Move random weights a little: gates and heads that start at zero let nothing through."""
    with torch.no_grad():
        for kind in pipe.random_parts:
            for parameter in getattr(pipe, kind).parameters():
                parameter.add_(0.03 * torch.randn_like(parameter))


def samples(pipe):
    """Sample two steps; every step is finite, and so is the video, which could not be made otherwise."""
    size, seen = a_size(pipe), []
    frames, height, width = size
    assert pipe.autoencoder.latent.fits(pipe.sampling.size)
    made = pipe(PROMPTS[0], frames=frames, height=height, width=width, steps=2, seed=0,
                on_step=lambda index, x: seen.append(x))  # fmt: skip
    assert made.numpy().shape == (*size, 3)
    assert len(seen) == 2
    assert all(x.isfinite().all() for x in seen)
