"""Long videos: as many frames as asked, chunk after chunk from the end of what is there."""

from __future__ import annotations

import numpy as np
import pytest

import vidgen
import vidgen.sampling.long
from vidgen.errors import ConfigError, SizeError

QUICK = {"height": 32, "width": 32, "steps": 2, "guidance": 1.0, "show_progress": False}
PROMPTS = [
    "a large red circle moving left on a black background",
    "a small blue cross growing on a grey background",
]


@pytest.fixture(scope="module")
def pipe():
    return vidgen.load()


class Watched:
    """Counts calls and remembers them."""

    def __init__(self, pipe):
        self.pipe, self.calls = pipe, []
        self.sampling, self.autoencoder = pipe.sampling, pipe.autoencoder

    def __call__(self, prompt, **options):
        self.calls.append((prompt, options))
        return self.pipe(prompt, **options)


@pytest.mark.parametrize(("frames", "chunk", "keep"), [(40, 9, None), (12, 17, 5), (1, 9, 1), (23, 9, 8)])
def test_it_has_the_frames_that_were_asked_for(pipe, frames, chunk, keep):
    pieces = list(pipe.stream(PROMPTS[0], frames, chunk=chunk, keep=keep, seed=0, **QUICK))
    assert sum(len(piece) for piece in pieces) == frames
    assert max(len(piece) for piece in pieces) <= chunk


def test_each_chunk_begins_with_the_end_of_the_one_before(pipe):
    watched = Watched(pipe)
    pieces = list(vidgen.sampling.long.stream(watched, PROMPTS, 21, chunk=9, keep=5, seed=7, **QUICK))
    assert [prompt for prompt, _ in watched.calls] == [PROMPTS[0], PROMPTS[1], PROMPTS[1], PROMPTS[1]]
    assert [options["seed"] for _, options in watched.calls] == [7, 8, 9, 10]
    whole = np.concatenate([piece.numpy() for piece in pieces])
    told = watched.calls[2][1]["given"][0].numpy()
    assert told.shape[0] == 5
    # The last new frames of the chunk before are told as they were shown.
    assert np.array_equal(told[1:], whole[9:13])


def test_an_image_starts_the_first_chunk_only(pipe):
    watched = Watched(pipe)
    image = np.full((32, 32, 3), 90, np.uint8)
    list(vidgen.sampling.long.stream(watched, PROMPTS[0], 12, chunk=9, seed=0, image=image, **QUICK))
    assert "image" in watched.calls[0][1]
    assert "image" not in watched.calls[1][1]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"keep": 9}, SizeError, "between 1 and 8"),
        ({"keep": 0}, SizeError, "between 1 and 8"),
        ({"chunk": 8, "keep": 3}, SizeError, "take"),
        ({"loop": True}, ConfigError, "loop works on one video"),
        ({"frames": 0}, ConfigError, "at least 1 frame"),
        ({"frames": "20"}, ConfigError, "frames is a whole number"),
        ({"keep": 2.5}, ConfigError, "keep is a whole number"),
        ({"seed": [1, 2]}, ConfigError, "seed is a whole number"),
        ({"chunk": 10, "fit": "pad"}, SizeError, "chunks of a stream are not padded; take 13x32x32"),
    ],
)
def test_what_cannot_be_streamed_is_refused(pipe, options, error, words):
    settings = {"frames": 20, "chunk": 9, "seed": 0, **options}
    with pytest.raises(error, match=words):
        list(pipe.stream(PROMPTS[0], settings.pop("frames"), **settings, **QUICK))
