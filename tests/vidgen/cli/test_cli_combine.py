from __future__ import annotations

import json

import tomli_w

PARTS = {
    "autoencoder": "sora-vae/tiny",
    "denoiser": "sora-dit/tiny",
    "text_encoder": "words",
    "scheduler": "euler",
}


def write(tmp_path, **changes):
    path = tmp_path / "recipe.toml"
    path.write_text(tomli_w.dumps(PARTS | changes))
    return path


def test_check_prints_the_parts_and_the_status(vidgen, tmp_path):
    result = vidgen("check", write(tmp_path))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "autoencoder: sora-vae",
        "denoiser: sora-dit",
        "text_encoder: words",
        "scheduler: euler",
        "status: must be trained",
    ]


def test_check_prints_every_misfit_on_a_line_and_fails(vidgen, tmp_path):
    trained = {"latent_space": "a", "latent_channels": 4, "text_space": "b"}
    result = vidgen("check", write(tmp_path, denoiser={"name": "sora-dit/tiny", "config": trained}))
    assert result.exit_code == 2
    problems = [line for line in result.stdout.splitlines() if line.startswith("problem: ")]
    assert len(problems) == 3
    assert all("sora-dit" in line for line in problems)
    assert result.stdout.splitlines()[-1] == "status: refused"


def test_check_refuses_bad_input(refused, tmp_path):
    assert "no recipe" in refused("check", tmp_path / "gone.toml")
    assert "Did you mean 'euler'" in refused("check", write(tmp_path, scheduler="eulr"))
    assert "Did you mean 'width'" in refused(
        "check", write(tmp_path, denoiser={"name": "sora-dit", "config": {"widht": 8}})
    )


def test_matrix_counts_and_prints_rows(vidgen):
    result = vidgen(
        "matrix", "--denoiser", "sora-dit/tiny", "--autoencoder", "sora-vae/*", "--text-encoder", "words"
    )
    *rows, last = result.stdout.splitlines()
    assert len(rows) == 1 + 3 * 6
    assert last == "18 combinations: 0 native, 18 must be trained, 0 refused"


def test_matrix_rows_are_limited_and_filtered(vidgen):
    words = ("matrix", "--autoencoder", "*/*", "--denoiser", "*/*")
    assert "more; --rows 0 shows all" in vidgen(*words, "--rows", "2").stdout
    every = json.loads(vidgen(*words, "--json").stdout)
    assert {row["status"] for row in every} <= {"native", "must be trained", "refused"}
    refused = json.loads(vidgen(*words, "--status", "refused", "--json").stdout)
    assert refused == [row for row in every if row["status"] == "refused"]


def test_matrix_refuses_unknown_names(refused):
    assert "Did you mean 'sora-dit'" in refused("matrix", "--denoiser", "sora-dti")
    assert "No denoiser matches" in refused("matrix", "--denoiser", "nothing*")
    assert "Did you mean 'native'" in refused("matrix", "--status", "nativ")
