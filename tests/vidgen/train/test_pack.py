"""Training packed: the objective is that of one by one, batches keep to their tokens, a training resumes exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import vidgen
from vidgen.errors import ConfigError, ContractError, RecipeError
from vidgen.train import TrainRecipe
from vidgen.train.batches import Batches, Embedded
from vidgen.train.config import GivenConfig, TrainConfig
from vidgen.train.objectives import DenoiserObjective
from vidgen.train.trainer import Trainer

SIZES = ((5, 8, 8), (1, 12, 12), (3, 10, 6), (9, 6, 10), (2, 5, 7))
"""Latents of 17x64x64, 1x96x96, 9x80x48, 33x48x80, and a size that no patch divides."""
CAPTIONS = ("a red circle", "", "a small green cross growing on a navy background", "a", "two words")
MIXED = GivenConfig(none=1, image=1, past=1, future=1, random=1)

RECIPE = """
autoencoder = "sora-vae/tiny"
denoiser = "sora-dit/tiny"
text_encoder = "words/tiny"
scheduler = "euler"
[sampling]
frames = 5
height = 32
width = 32
steps = 2
[train]
steps = 4
precision = "fp32"
warmup = 1
log_every = 1
tokens = 60
pack = true
given = { none = 1.0, image = 1.0 }
[[data]]
name = "kinetic"
size = "5x32x32"
cache = 4
[[data]]
name = "kinetic"
size = "1x32x48"
share = 2.0
[[data]]
name = "kinetic"
size = "9x32x32"
"""


def objective(**settings) -> DenoiserObjective:
    torch.manual_seed(0)
    denoiser = vidgen.create("denoiser", "sora-dit/tiny", latent_channels=16, text_width=64)
    for parameter in denoiser.parameters():  # what starts at zero would hide differences
        nn.init.normal_(parameter, std=0.05)
    return DenoiserObjective(denoiser, vidgen.create("text_encoder", "words/tiny"), TrainConfig(**settings))


def gradients(part: nn.Module) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in part.named_parameters() if p.grad is not None}
    part.zero_grad()
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"caption_dropout": 0.5, "noise_offset": 0.1, "weighting": "min-snr", "times": "uniform"},
        {"given": MIXED},
        {"given": MIXED, "weighting": "min-snr"},
    ],
    ids=["plain", "weighted", "given", "given-weighted"],
)
@pytest.mark.parametrize("each", [1, 3], ids=["one by one", "batch by batch"])
def test_the_packed_objective_is_that_of_one_by_one(each, settings):
    part, chance = objective(**settings), torch.Generator().manual_seed(1)
    latents = [torch.randn(each, 16, *size, generator=chance) for size in SIZES]
    texts = [[f"{caption} {n}" for n in range(each)] for caption in CAPTIONS]
    draw = torch.Generator().manual_seed(2)
    alone = torch.stack(
        [part(x, text, draw)["denoising"] for x, text in zip(latents, texts, strict=True)]
    ).mean()
    alone.backward()
    wanted = gradients(part)
    packed = part(latents, texts, torch.Generator().manual_seed(2))["denoising"]
    packed.backward()
    got = gradients(part)
    assert packed.item() == pytest.approx(alone.item(), rel=1e-4)
    assert got.keys() == wanted.keys() == dict(part.named_parameters()).keys()
    for name, one in got.items():
        assert (one - wanted[name]).abs().max() <= 1e-4 * wanted[name].abs().max(), name


def test_batches_of_different_numbers_count_by_their_samples():
    part, chance = objective(), torch.Generator().manual_seed(1)
    latents = [torch.randn(n, 16, *size, generator=chance) for n, size in ((4, SIZES[1]), (1, SIZES[0]))]
    draw = torch.Generator().manual_seed(2)
    four, one = (part(x, [""] * len(x), draw)["denoising"].item() for x in latents)
    packed = part(latents, [["" for _ in x] for x in latents], torch.Generator().manual_seed(2))["denoising"]
    assert packed.item() == pytest.approx((4 * four + one) / 5, rel=1e-4)
    assert four != pytest.approx(one, rel=1e-3)


@pytest.fixture
def load(tmp_path):
    def load(old: str = "", new: str = "", text: str = RECIPE) -> TrainRecipe:
        assert old in text
        path = tmp_path / "recipe.toml"
        path.write_text(text.replace(old, new))
        return TrainRecipe.load(path)

    return load


def test_a_batch_holds_samples_of_many_tables_within_its_tokens(load):
    recipe = load()
    lengths = [table.tokens for table in recipe.data]
    assert lengths == [8, 6, 12]  # latents 2x4x4, 1x4x6, 3x4x4, patches of 1x2x2
    sets = [vidgen.create("data_set", "kinetic")] * 3
    draw = Batches(recipe.data, sets, seed=1, rank=3, budget=60)
    counts = np.array([draw._fill(np.random.default_rng((1, step))) for step in range(4000)])
    tokens = counts * lengths
    assert (tokens.sum(axis=1) <= 60).all()
    assert (tokens.sum(axis=1) > 60 - 12).all()
    assert ((counts > 0).sum(axis=1) > 1).mean() > 0.95
    # The shares are of tokens, and no size comes less often than they say.
    np.testing.assert_allclose(tokens.sum(axis=0) / tokens.sum(), [0.25, 0.5, 0.25], atol=0.01)
    batches = draw[7]
    assert {tuple(batch.video.shape[2:]) for batch in batches} <= {(5, 32, 32), (1, 32, 48), (9, 32, 32)}
    again = Batches(recipe.data, sets, seed=1, rank=3, budget=60)[7]
    assert all(
        torch.equal(a.video, b.video) and a.text == b.text for a, b in zip(batches, again, strict=True)
    )
    other = Batches(recipe.data, sets, seed=1, rank=2, budget=60)[7]
    assert [batch.text for batch in other] != [batch.text for batch in batches]


def test_a_sample_above_the_tokens_comes_alone(load):
    recipe = load("tokens = 60", "tokens = 5")
    draw = Batches(recipe.data, [vidgen.create("data_set", "kinetic")] * 3, seed=1, budget=5)
    assert all(sum(len(batch.text) for batch in draw[step]) == 1 for step in range(5))


def test_a_packed_training_resumes_exactly(load, tmp_path, monkeypatch):
    seen = []
    original = DenoiserObjective._packed
    monkeypatch.setattr(
        DenoiserObjective, "_packed", lambda self, tasks: seen.append(len(tasks)) or original(self, tasks)
    )
    whole = Trainer(load(), tmp_path / "whole")
    whole.run()
    assert len(seen) == 4
    assert max(seen) > 1
    half = Trainer(load(), tmp_path / "half")
    half._any = lambda asked: half.state.step == 2
    with pytest.raises(KeyboardInterrupt):
        half.run()
    again = Trainer(load(), tmp_path / "half")
    assert again.state.step == 2
    again.run()
    for (name, left), (_, right) in zip(whole.state.named, again.state.named, strict=True):
        assert torch.equal(left, right), name


def test_cached_texts_pack(load, tmp_path, monkeypatch):
    text = RECIPE.replace("[train]", '[train]\ntrain = ["denoiser"]').replace(
        "cache = 4", "cache = 4\ncache_text = true"
    )
    kinds = set()
    original = DenoiserObjective._task
    monkeypatch.setattr(
        DenoiserObjective,
        "_task",
        lambda self, latents, text, chance: kinds.add(type(text)) or original(self, latents, text, chance),
    )
    Trainer(load(text=text), tmp_path / "run").run()
    assert kinds == {list, Embedded}


def test_recomputed_blocks_pack_by_the_backend_of_the_way_forward(load, tmp_path):
    plain, less = load(), load("pack = true", "pack = true\ncheckpointing = true")
    one, two = Trainer(plain, tmp_path / "plain"), Trainer(less, tmp_path / "less")
    one.run()
    two.run()
    for (name, left), (_, right) in zip(one.state.named, two.state.named, strict=True):
        torch.testing.assert_close(left, right, msg=name)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("sora-dit/tiny", "latte/tiny", ContractError, r"train.pack: the denoiser 'latte' takes one size"),
        ("tokens = 60", "", ConfigError, r"train.pack needs train.tokens = N"),
        ("pack = true", "pack = true\nsequence_parallel = 2", ConfigError, "do not go together"),
        ("[sampling]", "adapt = true\n[sampling]", RecipeError, "adapt takes one size at a time"),
        ("pack = true", 'pack = true\ntrain = ["autoencoder"]', ConfigError, "train.pack is for denoisers"),
    ],
)
def test_what_does_not_pack_is_refused(old, new, error, message, load):
    text = RECIPE.replace("given = { none = 1.0, image = 1.0 }\n", "")
    with pytest.raises(error, match=message):
        load(old, new, text)


def test_a_backend_that_nobody_registered_is_named(load, tmp_path):
    recipe = load("pack = true", 'pack = true\nattention = "lop"')
    with pytest.raises(vidgen.errors.UnknownNameError, match="loop"):
        Trainer(recipe, tmp_path / "run").run()
