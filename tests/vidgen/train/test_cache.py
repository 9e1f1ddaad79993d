"""Encoded data on disk: nothing is encoded twice, nothing stale is read, training needs no more of the parts."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time

import pytest
import torch

import vidgen
from vidgen.data import DataSet
from vidgen.errors import CheckpointError, ConfigError, RecipeError
from vidgen.size import Size
from vidgen.train.batches import Batches, to_unit
from vidgen.train.cache import SHARD, Cache, fill_caches
from vidgen.train.config import TrainRecipe
from vidgen.train.trainer import Trainer

RECIPE = """
autoencoder = "kl-vae/tiny"
denoiser = "sora-dit/tiny"
text_encoder = "words/tiny"
scheduler = "euler"
[sampling]
frames = 2
height = 16
width = 16
steps = 2
[train]
train = ["denoiser"]
steps = 4
precision = "fp32"
log_every = 1
[[data]]
name = "kinetic"
size = "2x16x16"
batch = 2
cache = 150
cache_text = true
"""
PROGRAM = (sys.executable, "-m", "vidgen")


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def parts():
    torch.manual_seed(0)
    made = {
        "autoencoder": vidgen.create("autoencoder", "kl-vae/tiny"),
        "text_encoder": vidgen.create("text_encoder", "words/tiny"),
    }
    return {kind: part.requires_grad_(False) for kind, part in made.items()}


def open_cache(recipe, root, parts, **kwargs):
    table = TrainRecipe.load(recipe).data[0]
    return Cache(root, table, vidgen.create("data_set", "kinetic"), **{**parts, **kwargs})


class Plain(DataSet):
    """Kinetic videos with one wording each."""

    def __init__(self):
        self.inner = vidgen.create("data_set", "kinetic")

    def __len__(self):
        return len(self.inner)

    def sample(self, index, size):
        return self.inner.sample(index, size)


def forbid(part, monkeypatch):
    def encode(*args, **kwargs):
        raise AssertionError("encoded again")

    monkeypatch.setattr(part, "encode", encode)


def test_what_is_read_is_what_the_parts_say(recipe, tmp_path, parts):
    cache = open_cache(recipe, tmp_path / "c", parts)
    cache.fill()
    assert len(cache) == 150
    assert cache.missing == []
    data, size, chosen = vidgen.create("data_set", "kinetic"), Size(2, 16, 16), [149, 3, SHARD]
    samples = [data.sample(i, size) for i in chosen]
    latents = parts["autoencoder"].encode(torch.stack([to_unit(sample.video) for sample in samples]))
    torch.testing.assert_close(cache.latents(chosen), latents, rtol=0.01, atol=0.01)
    gone = [False, True, False]
    words = ["" if drop else sample.caption for drop, sample in zip(gone, samples, strict=True)]
    expected, found = parts["text_encoder"].encode(words), cache.text(chosen).without(gone)
    length = int(found.text_mask.sum(1).max())
    assert torch.equal(found.text_mask.sum(1), expected.text_mask.sum(1))
    mask = expected.text_mask[:, :length, None]
    torch.testing.assert_close(
        found.tokens[:, :length] * mask, expected.tokens[:, :length] * mask, rtol=0.01, atol=0.01
    )


def test_captions_are_those_of_the_encoded_samples(recipe, tmp_path, parts, monkeypatch):
    recipe.write_text(RECIPE.replace("cache_text = true", ""))
    cache = open_cache(recipe, tmp_path / "c", parts)
    cache.fill()
    kinetic, size = vidgen.create("data_set", "kinetic"), Size(2, 16, 16)
    plain = Plain()
    words = [plain.sample(i, size).caption for i in (149, 3, SHARD)]
    assert cache.captions([149, 3, SHARD]) == words
    monkeypatch.setattr(Plain, "sample", None)
    texts = [
        [
            batch.text
            for step in range(8)
            for batch in Batches([cache.table], [data], seed=0, caches={0: cache})[step]
        ]
        for data in (plain, kinetic)
    ]
    kept = set(cache.captions(range(150)))
    assert all(text in kept for batch in texts[0] for text in batch)
    assert any(text not in kept for batch in texts[1] for text in batch)


def test_a_cache_without_captions_is_stale(recipe, tmp_path, parts):
    index = open_cache(recipe, tmp_path / "c", parts).folder / "index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "format": 1}))
    with pytest.raises(CheckpointError, match="stale: it was made with another format"):
        open_cache(recipe, tmp_path / "c", parts)


def test_loader_processes_get_a_copy_without_parts(recipe, tmp_path, parts):
    cache = open_cache(recipe, tmp_path / "c", parts)
    cache.fill()
    before = cache.latents([5, 100])
    copied = pickle.loads(pickle.dumps(cache))
    assert copied.autoencoder is None
    assert torch.equal(copied.latents([5, 100]), before)


def test_more_samples_cost_only_what_is_missing(recipe, tmp_path, parts, monkeypatch):
    open_cache(recipe, tmp_path / "c", parts).fill()
    recipe.write_text(RECIPE.replace("cache = 150", "cache = 200"))
    more = open_cache(recipe, tmp_path / "c", parts)
    assert more.missing == [range(128, 192), range(192, 200)]
    more.fill()
    recipe.write_text(RECIPE.replace("cache = 150", "cache = 140"))
    forbid(parts["autoencoder"], monkeypatch)
    fewer = open_cache(recipe, tmp_path / "c", parts)
    fewer.fill()
    assert torch.equal(fewer.latents([139]), more.latents([139]))


def test_processes_share_the_work(recipe, tmp_path, parts):
    first, second = (open_cache(recipe, tmp_path / "c", parts) for _ in range(2))
    first.fill(turn=0, turns=2)
    assert first.missing == [range(64, 128)]
    second.fill(turn=0, turns=1)
    assert first.missing == []


@pytest.mark.parametrize("kind", ["autoencoder", "text_encoder"])
def test_a_stale_cache_is_refused(kind, recipe, tmp_path, parts):
    open_cache(recipe, tmp_path / "c", parts).fill()
    other = vidgen.create(kind, {"autoencoder": "kl-vae/tiny", "text_encoder": "words/tiny"}[kind])
    with pytest.raises(CheckpointError, match=f"stale: it was made with another {kind.replace('_', ' ')}"):
        open_cache(recipe, tmp_path / "c", parts, **{kind: other})


def test_latents_of_another_normalisation_are_stale(recipe, tmp_path, parts):
    open_cache(recipe, tmp_path / "c", parts)
    part = parts["autoencoder"]
    mean, std = part.normalisation()
    part.set_normalisation(mean, std / 2)
    with pytest.raises(CheckpointError, match="other settings"):
        open_cache(recipe, tmp_path / "c", parts)


def test_tables_with_and_without_texts_do_not_meet(recipe, tmp_path, parts):
    open_cache(recipe, tmp_path / "c", parts).fill()
    recipe.write_text(RECIPE.replace("cache_text = true", ""))
    plain = open_cache(recipe, tmp_path / "c", parts)
    plain.fill()
    assert len(list((tmp_path / "c").iterdir())) == 2
    assert plain.latents([7]).isfinite().all()


def test_a_damaged_or_missing_file_is_named(recipe, tmp_path, parts):
    cache = open_cache(recipe, tmp_path / "c", parts)
    cache.fill()
    (cache.folder / "000064-000127.safetensors").write_bytes(b"no")
    (cache.folder / "000128-000149.safetensors").unlink()
    assert cache.latents([3]).isfinite().all()
    with pytest.raises(CheckpointError, match=r"000064-000127\.safetensors is damaged"):
        cache.latents([3, 70])
    with pytest.raises(CheckpointError, match="lacks sample 140"):
        cache.latents([140])


def test_training_needs_no_more_of_the_frozen_parts(recipe, tmp_path, monkeypatch):
    fill_caches(TrainRecipe.load(recipe), tmp_path / "run" / "latents")
    trainer = Trainer(TrainRecipe.load(recipe), tmp_path / "run")
    for kind in ("autoencoder", "text_encoder"):
        forbid(trainer.parts[kind], monkeypatch)
    trainer.run()
    assert trainer.state.step == 4


def test_a_training_of_cached_texts_learns_what_one_of_words_learns(recipe, tmp_path):
    recipe.write_text(RECIPE.replace("cache_text = true", "config = { paraphrase = false }"))
    words = Trainer(TrainRecipe.load(recipe), tmp_path / "words")
    words.run()
    recipe.write_text(
        RECIPE.replace("cache_text = true", "cache_text = true\nconfig = { paraphrase = false }")
    )
    texts = Trainer(TrainRecipe.load(recipe), tmp_path / "texts")
    texts.run()
    losses = [
        [json.loads(line)["denoising"] for line in (run / "log.jsonl").read_text().splitlines()]
        for run in (tmp_path / "words", tmp_path / "texts")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_a_shared_folder_and_what_cannot_be_cached(recipe, tmp_path):
    shared = tmp_path / "shared"
    Trainer(TrainRecipe.load(recipe, {"cache": str(shared)}), tmp_path / "run").run()
    assert len(list(shared.glob("kinetic-2x16x16-*/*.safetensors"))) == 4
    recipe.write_text(RECIPE.replace('["denoiser"]', '["denoiser", "text_encoder"]'))
    with pytest.raises(RecipeError, match="frozen text encoder"):
        TrainRecipe.load(recipe)
    recipe.write_text(RECIPE.replace("cache = 150\n", ""))
    with pytest.raises(ConfigError, match=r"needs data\.cache"):
        TrainRecipe.load(recipe)
    recipe.write_text(RECIPE.replace("cache = 150\ncache_text = true\n", ""))
    with pytest.raises(RecipeError, match="caches nothing"):
        fill_caches(TrainRecipe.load(recipe), shared)


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_behind_the_last_shard(recipe, tmp_path):
    recipe.write_text(RECIPE.replace("cache = 150", "cache = 2000").replace("2x16x16", "2x64x64"))
    root = tmp_path / "run" / "latents"
    command = [*PROGRAM, "cache", str(recipe), "--out", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    seen: dict[str, int] = {}
    kills = 0
    for _ in range(2):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 200
        while process.poll() is None and len(list(root.glob("*/0*.safetensors"))) <= len(seen):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        kills += process.poll() is None
        process.kill()
        process.communicate()
        there = {path.name: path.stat().st_mtime_ns for path in root.glob("*/*.safetensors")}
        assert {name: there[name] for name in seen} == seen, "a finished shard was written again"
        seen = there
    assert kills, "every run was over before it could be killed"
    recipe.write_text(RECIPE.replace("cache = 150", "cache = 300").replace("2x16x16", "2x64x64"))
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "300" in done.stdout
    there = {path.name: path.stat().st_mtime_ns for path in root.glob("*/*.safetensors")}
    assert {name: there[name] for name in seen} == seen
    (caches,) = fill_caches(TrainRecipe.load(recipe), root)
    whole = fill_caches(TrainRecipe.load(recipe), tmp_path / "whole")[0]
    assert torch.equal(caches.latents(range(300)), whole.latents(range(300)))
    litter = [path.name for path in caches.folder.iterdir() if path.name.startswith(".")]
    assert len(litter) <= kills
