from __future__ import annotations

import pytest
from stranger import GOOD, install

from vidgen.discovery import Plugin, discover
from vidgen.errors import UnknownNameError
from vidgen.registry import Registry


def found(name: str) -> Plugin:
    return next(plugin for plugin in discover() if plugin.name == name)


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.delenv("VIDGEN_LOAD_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_strangers_plugin_is_found(site):
    install(site, GOOD.format(name="thing", module="acme_good"), module="acme_good")
    plugin = found("acme")
    assert plugin.error is None
    assert (plugin.distribution, plugin.version, plugin.module) == ("acme", "0.1", "acme_good")
    assert [spec.name for spec in plugin.specs] == ["thing"]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise RuntimeError('no luck\\nat all')", "RuntimeError: no luck"),
        ("import no_such_package_here", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "no components"),
        ("def vidgen_components(): return []", "no components"),
        (
            "from vidgen.hookspecs import hookimpl\n@hookimpl\ndef vidgen_components(): return ['x']",
            "no ComponentSpec",
        ),
        (
            "from vidgen.hookspecs import hookimpl\n@hookimpl\ndef vidgen_component(): return []",
            "vidgen_component",
        ),
        (GOOD.format(name="Bad Name", module="x"), "kebab"),
    ],
)
def test_a_broken_plugin_is_remembered_and_hurts_nobody_else(site, code, error):
    module = f"acme_broken_{abs(hash(code))}"
    install(site, code, module=module)
    every = discover()
    broken = next(plugin for plugin in every if plugin.name == "acme")
    assert error in broken.error
    assert "\n" not in broken.error
    assert broken.specs == ()
    others = [plugin for plugin in every if plugin is not broken]
    assert len(others) >= 4
    assert all(plugin.specs and plugin.error is None for plugin in others)


def test_one_name_in_two_distributions_names_both_and_hurts_nobody_else(site):
    install(site, GOOD.format(name="one", module="first"), distribution="first", module="first")
    install(site, GOOD.format(name="two", module="second"), distribution="second", module="second")
    held = Registry().load()
    clashing = [plugin for plugin in held.plugins if plugin.name == "acme"]
    assert sorted(plugin.distribution for plugin in clashing) == ["first", "second"]
    assert all("'acme' is used by first and second" in plugin.error for plugin in clashing)
    assert not {"one", "two"} & set(held.names("suite"))
    assert "sora-dit" in held.names("denoiser")
    with pytest.raises(
        UnknownNameError, match=r"There is no suite 'one'.*used by first and second"
    ) as caught:
        held.find("suite", "one")
    assert str(caught.value).count("'acme'") == 2  # said once: as the plugin's name and in its reason


@pytest.mark.parametrize("damage", ["no metadata", "no module", "bad entry points"])
def test_a_half_installed_distribution_hurts_nobody_else(site, damage):
    module = f"acme_{damage.replace(' ', '_')}"  # Python remembers imported modules
    install(site, GOOD.format(name="thing", module=module), module=module)
    info = site / "acme-0.1.dist-info"
    if damage == "no metadata":
        (info / "METADATA").unlink()
    elif damage == "no module":
        (site / f"{module}.py").unlink()
    else:
        (info / "entry_points.txt").write_text("[vidgen]\nno equals sign\n")
    plugins = {plugin.name: plugin for plugin in discover()}
    assert plugins["sora"].error is None
    assert len(plugins["sora"].specs) >= 3
    if damage == "no module":
        assert "ModuleNotFoundError" in plugins["acme"].error


def test_a_plugin_that_exits_at_import_is_only_broken(site):
    install(site, "raise SystemExit('bye')", module="acme_exits")
    assert found("acme").error == "SystemExit: bye"


def test_a_component_that_clashes_keeps_its_whole_plugin_out(site):
    code = GOOD.replace('kind="suite"', 'kind="scheduler"')
    install(site, code.format(name="euler", module="clash"), name="zz-clash", module="clash")
    held = Registry().load()
    clash = next(plugin for plugin in held.plugins if plugin.name == "zz-clash")
    assert "euler" in clash.error
    assert "solvers" in clash.error
    assert held.owner("scheduler", "euler").startswith("plugin 'solvers'")


def test_loading_can_be_restricted(monkeypatch):
    monkeypatch.setenv("VIDGEN_LOAD_PLUGINS", "text, sora")
    assert [plugin.name for plugin in discover()] == ["sora", "text"]
    monkeypatch.setenv("VIDGEN_LOAD_PLUGINS", "")
    assert discover() == []


def test_the_same_distribution_seen_twice_counts_once(site, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("again")
    for folder in (site, other):
        install(folder, GOOD.format(name="thing", module="acme_twice"), module="acme_twice")
    monkeypatch.syspath_prepend(str(other))
    assert [plugin.name for plugin in discover()].count("acme") == 1
