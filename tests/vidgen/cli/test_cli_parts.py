from __future__ import annotations

import json

import pytest

import vidgen as library
from vidgen.spec import KINDS

COMMANDS = (
    "list",
    "show",
    "plugins",
    "doctor",
    "check",
    "matrix",
    "generate",
    "chain",
    "reconstruct",
    "train",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(vidgen, command):
    result = vidgen(command, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.output
    assert f"\n    vidgen {command}" in result.output


def test_help_names_every_command(vidgen):
    for words in ((), ("--help",)):
        result = vidgen(*words)
        assert result.exit_code == 0
        assert all(f"  {command} " in result.output for command in COMMANDS)
        assert "..." not in result.output.split("Commands:")[1]


def test_version(vidgen):
    assert vidgen("--version").output == f"vidgen {library.__version__}\n"


def test_list_names_every_component(vidgen):
    output = vidgen("list").output
    for kind in KINDS:
        for name in library.list_components(kind):
            assert library.find(kind, name).summary in output


def test_list_by_kind_and_pattern(vidgen):
    rows = json.loads(vidgen("list", "scheduler", "[eh]*", "--json").output)
    assert [row["name"] for row in rows] == ["euler", "heun"]
    assert rows[0]["plugin"] == "solvers"
    assert rows[0]["presets"] == ["tiny"]
    result = vidgen("list", "scheduler", "eulr")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Did you mean 'euler'" in result.stderr


def test_list_refuses_an_unknown_kind(refused):
    assert "Did you mean 'denoiser'" in refused("list", "denoisr")


def test_show_tells_settings_presets_contract_and_owner(vidgen):
    output = vidgen("show", "sora-dit").output
    for word in ("depth", "int", "tiny", "small", "per_frame_time", "latent_channels", "plugin 'sora'"):
        assert word in output


def test_show_one_preset_as_json(vidgen):
    (page,) = json.loads(vidgen("show", "sora-vae/tiny", "--json").output)
    preset = library.find("autoencoder", "sora-vae").preset("tiny")
    assert page["settings"] == {"tiny": json.loads(json.dumps(preset.to_dict()))}
    assert page["contracts"]["tiny"]["latent.channels"] == preset.contract().latent.channels
    assert page["fields"]["latent_channels"] == {"type": "int", "default": "16"}


def test_show_weights_of_a_folder(vidgen, tmp_path):
    parts = dict(
        autoencoder="sora-vae/tiny", denoiser="sora-dit/tiny", text_encoder="words/tiny", scheduler="euler"
    )
    library.compose(**parts).save(tmp_path / "model")
    (page,) = json.loads(vidgen("show", f"sora-vae@{tmp_path / 'model'}", "--json").output)
    (settings,) = page["settings"].values()
    assert settings["encoder_width"] == library.find("autoencoder", "sora-vae").preset("tiny").encoder_width


def test_show_tells_kinds_of_one_name_apart(vidgen):
    output = vidgen("show", "kinetic").output
    assert "data_set kinetic:" in output
    assert "metric kinetic:" in output
    assert "metric kinetic:" not in vidgen("show", "kinetic", "--kind", "data_set").output


def test_show_every_component(vidgen):
    for kind in KINDS:
        for name in library.list_components(kind):
            result = vidgen("show", name, "--kind", kind)
            assert result.exit_code == 0, result.output


def test_show_refuses_unknown_names(refused):
    assert "Did you mean 'sora-dit'" in refused("show", "sora-dti")
    assert "no preset 'tinny'" in refused("show", "sora-dit/tinny")
    assert "There is no denoiser 'euler'" in refused("show", "euler", "--kind", "denoiser")


def test_plugins_tell_who_brings_what(vidgen):
    rows = {row["name"]: row for row in json.loads(vidgen("plugins", "--json").output)}
    assert rows["solvers"]["distribution"] == "vidgen-components"
    assert "scheduler euler" in rows["solvers"]["components"]
    assert rows["solvers"]["error"] is None
    assert "scheduler euler" in vidgen("plugins").output


def test_doctor_prints_rows_and_fails_when_something_is_broken(vidgen, monkeypatch):
    from vidgen import doctor

    monkeypatch.setattr(doctor, "diagnose", lambda: [doctor.Row("packages", "torch", "9.9")])
    result = vidgen("doctor")
    assert result.exit_code == 0
    assert "9.9" in result.output
    assert "solvers" in result.output
    broken = doctor.Row("packages", "torch", "9.9", "broken", "mend it")
    monkeypatch.setattr(doctor, "diagnose", lambda: [broken])
    result = vidgen("doctor", "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)[0]["advice"] == "mend it"
