from __future__ import annotations

import json

import pytest
import tomli_w

import vidgen
from vidgen.config import ConfigError
from vidgen.errors import ContractError, RecipeError, UnknownNameError
from vidgen.matrix import addresses, combinations
from vidgen.recipe import Recipe, Slot
from vidgen.spec import INTERFACES

PARTS = {
    "autoencoder": "sora-vae/tiny",
    "denoiser": "sora-dit/tiny",
    "text_encoder": "words/tiny",
    "scheduler": "euler",
}


def trained(**changes):
    """Parts whose denoiser says what it was trained on."""
    tables = {
        **PARTS,
        "autoencoder": {"name": "sora-vae/tiny", "config": {"space": "ae"}},
        "text_encoder": {"name": "words/tiny", "config": {"space": "te"}},
        "denoiser": {"name": "sora-dit/tiny", "config": {"latent_space": "ae", "text_space": "te"}},
    }
    return tables | changes


@pytest.fixture(params=["toml", "json"])
def write(request, tmp_path):
    def to_file(tables):
        path = tmp_path / f"recipe.{request.param}"
        path.write_text(tomli_w.dumps(tables) if request.param == "toml" else json.dumps(tables))
        return path

    return to_file


def test_a_recipe_reads_back_equal(write):
    recipe = Recipe.from_dict(trained(sampling={"frames": 9, "guidance": 2}))
    assert Recipe.load(write(recipe.to_dict())) == recipe
    assert recipe.sampling.size == (9, 64, 64)


def test_check_takes_a_recipe_a_path_or_names(write):
    assert vidgen.check(PARTS) == []
    assert vidgen.check(write(PARTS)) == []
    assert vidgen.check(str(write(PARTS))) == []
    assert vidgen.check(Recipe.from_dict(PARTS)) == []


def test_a_misfit_is_told_by_check():
    foreign = trained(autoencoder={"name": "sora-vae/tiny", "config": {"space": "other"}})
    (problem,) = vidgen.check(foreign)
    assert problem.field == "latent space"
    assert problem.values == ("other", "ae")
    assert Recipe.from_dict(foreign).status() == "refused"


def test_an_untrained_denoiser_follows_its_neighbours():
    recipe = Recipe.from_dict(PARTS).following()
    contracts = recipe.contracts()
    assert recipe.denoiser.config.latent_channels == contracts.autoencoder.latent.channels
    assert recipe.denoiser.config.text_width == contracts.text_encoder.text.width
    assert recipe.status() == "must be trained"


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({"autoencoder": "sora-vae"}, "lacks denoiser and text_encoder and scheduler"),
        ({**PARTS, "autoencodr": "x"}, "Did you mean 'autoencoder'"),
        ({**PARTS, "scheduler": {"preset": "tiny"}}, "scheduler must be a name or a table with a name"),
        ({**PARTS, "scheduler": {"name": "euler", "prest": "tiny"}}, "Did you mean 'preset'"),
        ({**PARTS, "scheduler": 3}, "scheduler must be a name"),
        ({**PARTS, "format_version": 99}, "newer"),
    ],
)
def test_malformed_recipes_are_refused(tables, says):
    with pytest.raises(RecipeError, match=says):
        Recipe.from_dict(tables)


def test_unknown_names_and_fields_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'euler'"):
        vidgen.check({**PARTS, "scheduler": "eulr"})
    with pytest.raises(ConfigError, match="Did you mean 'frames'"):
        vidgen.check({**PARTS, "sampling": {"frame": 3}})
    with pytest.raises(ConfigError, match="steps must be at least 1"):
        vidgen.check({**PARTS, "sampling": {"steps": 0}})


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("gone.toml", None, "There is no recipe"),
        ("bad.toml", "autoencoder = ", "cannot be read"),
        ("bad.json", "{", "cannot be read"),
        ("list.json", "[]", "must hold tables"),
        ("bytes.toml", b"\xff\xfe\x00", "cannot be read"),
        ("recipe.yaml", "", "is a .toml or .json file"),
    ],
)
def test_unreadable_files_are_one_clear_line(tmp_path, name, content, says):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(RecipeError, match=says) as caught:
        vidgen.check(path)
    assert "\n" not in str(caught.value)


def test_weights_bring_their_own_configuration():
    with pytest.raises(RecipeError, match="leave preset and config"):
        Slot.read("autoencoder", {"name": "sora-vae/tiny", "weights": "somewhere"})


def test_weights_are_found_beside_the_recipe(tmp_path, monkeypatch):
    pipe = vidgen.compose(**PARTS)
    folder = pipe.save(tmp_path / "model")
    monkeypatch.chdir("/")
    assert Recipe.load(folder).status() == Recipe.load(folder / "recipe.toml").status() == "must be trained"
    assert vidgen.check(folder) == []


def test_a_configuration_finds_its_component():
    settings = vidgen.find("scheduler", "heun").preset()
    assert Slot.read("scheduler", settings).spec.name == "heun"
    with pytest.raises(RecipeError, match="register it"):
        Slot.read("denoiser", settings)


def test_patterns_become_addresses():
    assert addresses("scheduler", "eul*") == ["euler"]
    assert "sora-dit/tiny" in addresses("denoiser", "sora*/*")
    assert addresses("denoiser", ["sora-dit/tiny", "sora-dit/t*"]) == ["sora-dit/tiny"]
    with pytest.raises(UnknownNameError, match=r"No scheduler matches 'eulr\*'.*Did you mean 'euler'"):
        addresses("scheduler", "eulr*")


def test_the_matrix_agrees_with_recipes():
    patterns = {"autoencoder": "*/tiny", "denoiser": "*/tiny", "text_encoder": "*/tiny"}
    every = list(combinations(patterns))
    sizes = [len(addresses(kind, pattern)) for kind, pattern in patterns.items()]
    assert len(every) == sizes[0] * sizes[1] * sizes[2] * len(vidgen.list_components("scheduler"))
    for one in every:
        assert one.status == Recipe.from_dict(one.parts).status()
        assert bool(one.reasons) == (one.status == "refused")


def test_a_part_without_a_contract_is_refused_by_name(scratch_registry):
    class Closed(vidgen.VideoAutoencoder):
        def __init__(self, width: int = 3):
            super().__init__()

        encode = decode = forward_train = None

    vidgen.register("autoencoder", "closed")(Closed)
    parts = PARTS | {"autoencoder": "closed"}
    (one,) = combinations(parts)
    assert one.status == "refused"
    for refuse in (vidgen.check, lambda tables: vidgen.compose(**tables)):
        with pytest.raises(
            ContractError, match="autoencoder 'closed' declares no contract: ClosedConfig must"
        ) as caught:
            refuse(parts)
        assert one.reasons == (str(caught.value),)


def test_the_matrix_says_why_a_combination_is_refused(scratch_registry):
    from dataclasses import replace

    spec = vidgen.find("denoiser", "sora-dit")
    knows = spec.presets["tiny"].replace(latent_space="elsewhere", latent_channels=4)
    scratch_registry.remove("denoiser", "sora-dit")
    scratch_registry.add(replace(spec, presets={"tiny": knows}), "test")
    names = {
        "autoencoder": "sora-vae/tiny",
        "denoiser": "sora-dit/tiny",
        "text_encoder": "words",
        "scheduler": "euler",
    }
    one = next(combinations(names))
    assert one.status == "refused"
    assert [reason.split(" differ in ")[1].split(":")[0] for reason in one.reasons] == [
        "latent channels",
        "latent space",
    ]
    with pytest.raises(ConfigError, match="Did you mean 'denoiser'"):
        list(combinations({"denoisr": "*"}))


@pytest.mark.parametrize("kind", INTERFACES)
def test_every_shipped_preset_is_the_same_after_it_was_data(kind):
    for name in vidgen.list_components(kind):
        spec = vidgen.find(kind, name)
        for preset, settings in spec.presets.items():
            assert Slot.read(kind, Slot(spec, settings).to_dict()).config == settings, (name, preset)
