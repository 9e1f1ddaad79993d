"""What makes the videos behind the page, without gradio."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from vidgen.errors import ContractError, SizeError, VidgenError
from vidgen.sampling.pipeline import compose
from vidgen.size import Size
from vidgen.ui.combination import default_parts
from vidgen.ui.state import Made, Stopped, Studio, Wish, in_one_line
from vidgen.video import Video

FIRST = default_parts()
TINY = {
    "autoencoder": "sora-vae/tiny",
    "denoiser": "sora-dit/tiny",
    "text_encoder": "words/tiny",
    "scheduler": "euler",
}
WISH = Wish(prompt="a large red circle", seed=3, size=Size(9, 32, 32), steps=2, guidance=3.0)


@pytest.fixture
def studio(tmp_path):
    return Studio(tmp_path, device="cpu", dtype="float32")


def test_it_makes_what_the_pipeline_makes(studio, tmp_path):
    steps = []
    made = studio.generate(FIRST, WISH, on_step=lambda *step: steps.append(step))
    straight = compose(**FIRST)(WISH.prompt, frames=9, height=32, width=32, steps=2, guidance=3.0, seed=3)
    assert made.path.read_bytes() == straight.save(tmp_path / "straight.mp4").read_bytes()
    assert Video.open(made.path).size == (9, 32, 32)
    assert steps == [(1, 2), (2, 2)]
    assert "random" not in str(made)


def test_random_weights_come_again_whatever_is_loaded(studio, tmp_path):
    first = studio.generate(TINY, WISH)
    assert "random weights: autoencoder, denoiser, text_encoder" in str(first)
    fresh = Studio(tmp_path, device="cpu", dtype="float32")
    fresh.generate({**TINY, "denoiser": "sora-dit"}, WISH)  # autoencoder and text encoder are there now
    again = fresh.generate(TINY, WISH)
    assert np.array_equal(Video.open(first.path).numpy(), Video.open(again.path).numpy())


def test_parts_stay_loaded_and_are_shared_but_not_for_ever(studio):
    one, two = studio.pipeline(FIRST), studio.pipeline({**FIRST, "scheduler": "heun"})
    assert one.denoiser is two.denoiser
    assert one.autoencoder is two.autoencoder
    assert one.scheduler is not two.scheduler
    studio.pipeline(TINY)
    assert studio.pipeline(FIRST).denoiser is one.denoiser
    studio.kept = 3
    studio.pipeline(TINY)
    assert studio.pipeline(FIRST).denoiser is not one.denoiser


def test_sizes_that_do_not_fit_are_padded(studio):
    made = studio.generate(FIRST, Wish(prompt="a", size=Size(8, 30, 30), steps=1, guidance=1.0))
    assert Video.open(made.path).size == (8, 30, 30)


def test_misfits_are_refused_before_anything_is_loaded(studio):
    with pytest.raises(ContractError, match="differ in"):
        studio.generate({**FIRST, "autoencoder": "wan-vae/2.1"}, WISH)
    assert not studio._loaded


def test_stop_stops_its_own_user_alone(studio):
    studio.start("me")
    studio.start("you")
    seen = []

    def step(done, total):
        seen.append(done)
        studio.stop("me")

    with pytest.raises(Stopped):
        studio.generate(TINY, WISH, session="me", on_step=step)
    assert seen == [1]
    with pytest.raises(Stopped):  # the second combination of the same click
        studio.generate(TINY, WISH, session="me")
    assert studio.generate(TINY, WISH, session="you").path.exists()
    studio.start("me")
    assert studio.generate(TINY, WISH, session="me").path.exists()


def test_two_users_come_one_after_the_other(studio):
    studio.pipeline(TINY)
    inside, most, lock = [], [], threading.Lock()

    def run(name):
        def step(done, total):
            with lock:
                inside.append(name)
                most.append(len(set(inside)))
            if done == total:
                with lock:
                    inside[:] = [one for one in inside if one != name]

        studio.generate(TINY, WISH, on_step=step)

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 4
    assert max(most) == 1


def test_what_went_wrong_is_one_line():
    assert in_one_line(SizeError("no\nsuch size")) == "no such size"
    assert in_one_line(RuntimeError("a\n b")) == "RuntimeError: a b"
    assert in_one_line(KeyError()) == "KeyError: no words"
    assert in_one_line(Stopped()) == "Stopped."
    assert isinstance(ContractError("x"), VidgenError)


def test_seconds_and_loading_are_told_apart(tmp_path):
    assert str(Made(tmp_path, 1.234, 0.0)) == "1.23 s"
    assert (
        str(Made(tmp_path, 1.0, 2.0, "denoiser")) == "1.00 s after 2.0 s of loading; random weights: denoiser"
    )
