from __future__ import annotations

import pytest

import vidgen
from vidgen.config import Config, config
from vidgen.errors import ConfigError, DuplicateComponentError, PluginError, UnknownNameError
from vidgen.parts import Address
from vidgen.registry import Registry, registry
from vidgen.spec import INTERFACES, ComponentSpec


@config
class ThingConfig(Config):
    size: int = 1


def spec(name: str, kind: str = "suite", **fields) -> ComponentSpec:
    values = {"target": "somewhere:Thing", "config": ThingConfig, "summary": "A thing."} | fields
    return ComponentSpec(kind=kind, name=name, **values)


def test_names_are_listed_naturally_and_by_wildcard():
    held = Registry()
    for name in ("b10", "b9", "a", "b1.5"):
        held.add(spec(name), "test")
    assert held.names("suite") == ["a", "b1.5", "b9", "b10"]
    assert held.names("suite", "b?") == ["b9"]
    assert held.names("metric") == []


def test_a_name_taken_twice_names_both_owners():
    held = Registry()
    held.add(spec("one"), "plugin 'a' (acme 1.0)")
    with pytest.raises(DuplicateComponentError, match=r"acme 1\.0.*other 2\.0"):
        held.add(spec("one"), "plugin 'b' (other 2.0)")
    held.add(spec("one", kind="metric"), "plugin 'b' (other 2.0)")


def test_an_unknown_name_offers_close_ones_and_the_listing():
    with pytest.raises(UnknownNameError, match=r"no scheduler 'eulr'.*Did you mean 'euler'.*vidgen list"):
        vidgen.create("scheduler", "eulr")
    with pytest.raises(UnknownNameError, match=r"no kind 'denoisr'.*Did you mean 'denoiser'"):
        vidgen.list_components("denoisr")
    with pytest.raises(UnknownNameError, match=r"no preset 'tinny'.*Did you mean 'tiny'"):
        vidgen.create("scheduler", "euler/tinny")
    with pytest.raises(UnknownNameError, match="no weights 'nowhere'"):
        vidgen.create("autoencoder", "sora-vae@nowhere")


def test_a_dash_in_a_kind_is_understood():
    assert vidgen.list_components("text-encoder") == vidgen.list_components("text_encoder")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("a", Address("a")),
        ("a/tiny", Address("a", "tiny")),
        ("a@tag", Address("a", None, "tag")),
        ("a@some/folder", Address("a", None, "some/folder")),
        ("a/tiny@./x", Address("a", "tiny", "./x")),
    ],
)
def test_addresses(text, address):
    assert Address.parse(text) == address


@pytest.mark.parametrize("name", ["Upper", "with space", "under_score", "-dash", "dash-", ""])
def test_names_are_lower_case_kebab(name):
    with pytest.raises(PluginError, match="kebab"):
        spec(name)


def test_a_spec_refuses_what_cannot_work():
    with pytest.raises(PluginError, match=r"package\.module:Class"):
        spec("one", target="nowhere")
    with pytest.raises(PluginError, match="no vidgen Config"):
        spec("one", config=dict)
    with pytest.raises(PluginError, match="preset 'tiny'"):
        spec("one", presets={"tiny": 3})
    with pytest.raises(UnknownNameError, match="no kind 'sute'"):
        spec("one", kind="sute")


def test_the_default_preset_is_small_else_the_first():
    small, tiny = ThingConfig(size=2), ThingConfig(size=1)
    assert spec("one", presets={"tiny": tiny, "small": small}).preset() is small
    assert spec("one", presets={"tiny": tiny}).preset() is tiny
    assert spec("one").preset() == ThingConfig()


def test_overrides_reach_the_part_and_unknown_ones_are_refused():
    part = vidgen.create("autoencoder", "sora-vae/tiny", latent_channels=4)
    assert part.config.latent_channels == 4
    assert not part.training
    with pytest.raises(ConfigError, match=r"latent_chanels.*Did you mean 'latent_channels'"):
        vidgen.create("autoencoder", "sora-vae/tiny", latent_chanels=4)


def test_a_configuration_of_another_part_is_refused():
    with pytest.raises(ConfigError, match="takes EulerConfig"):
        vidgen.create("scheduler", "euler", config=vidgen.find("scheduler", "heun").preset())


def test_a_class_from_a_notebook_becomes_a_part(scratch_registry):
    @vidgen.register("scheduler", "my-solver")
    class MySolver(vidgen.Scheduler):
        """Does nothing."""

        def __init__(self, steps: int = 3, name: str = "x") -> None:
            self.steps, self.name = steps, name

        def grid(self, process, steps, *, tokens=None, start=None):
            raise NotImplementedError

        def solve(self, denoise, x, grid, *, generators=None, on_step=None):
            return x

    found = vidgen.find("scheduler", "my-solver")
    assert found.summary == "Does nothing."
    assert list(found.presets) == ["tiny"]
    part = vidgen.create("scheduler", "my-solver", steps=5)
    assert (part.steps, part.name, part.config.steps) == (5, "x", 5)
    with pytest.raises(ConfigError, match="Did you mean 'steps'"):
        vidgen.create("scheduler", "my-solver", stepps=5)
    with pytest.raises(DuplicateComponentError, match="my-solver"):
        vidgen.register("scheduler", "my-solver")(MySolver)
    vidgen.register("scheduler", "my-solver", replace=True)(MySolver)
    with pytest.raises(PluginError, match="annotate 'loose'"):

        @vidgen.register("scheduler", "my-other")
        class Loose(MySolver):
            def __init__(self, loose) -> None:
                pass


def test_a_target_that_cannot_be_imported_says_so(scratch_registry):
    scratch_registry.add(spec("lost", target="no_such_package_here:Thing"), "test")
    with pytest.raises(PluginError, match=r"suite 'lost' cannot be imported.*no_such_package_here"):
        vidgen.create("suite", "lost")


def test_every_part_has_a_tiny_preset_and_a_contract():
    seen = 0
    for kind in INTERFACES:
        for name in vidgen.list_components(kind):
            found = vidgen.find(kind, name)
            assert "tiny" in found.presets, f"{kind} {name} has no tiny preset"
            for label, settings in found.presets.items():
                assert settings.contract(), f"{kind} {name}/{label}"
                assert type(settings).from_dict(settings.to_dict()) == settings
            seen += 1
    assert seen >= 11


def test_every_owner_is_a_plugin():
    for kind in INTERFACES:
        for name in vidgen.list_components(kind):
            assert registry().owner(kind, name).startswith("plugin ")


def test_a_plugin_that_looks_up_while_plugins_load_is_told_so(tmp_path):
    """It would wait for itself; the others are loaded."""
    import os
    import subprocess
    import sys

    (tmp_path / "hasty.py").write_text(
        "from vidgen.hookspecs import hookimpl\nimport vidgen\nvidgen.find('scheduler', 'euler')\n"
        "@hookimpl\ndef vidgen_components():\n    return []\n"
    )
    info = tmp_path / "hasty-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hasty\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[vidgen]\nhasty = hasty\n")
    code = (
        "import vidgen\n"
        "print({p.name: p.error for p in vidgen.plugins()}['hasty'], vidgen.list_components('scheduler', 'euler'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert "while plugins are being loaded" in done.stdout, done.stdout + done.stderr
    assert "['euler']" in done.stdout
