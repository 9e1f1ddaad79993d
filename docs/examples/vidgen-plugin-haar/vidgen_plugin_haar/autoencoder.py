"""Haar wavelets of video: pairs along an axis become their mean and their difference.

Twice in height and width and once in time, so that 2x4x4 pixels of three colours become 96 numbers; the transform is
orthonormal, so white noise in the latents is white noise in the pixels.
"""

import torch
import vidgen
from vidgen import Size

AXES = (-1, -2, -1, -2, -3)


class Haar(vidgen.VideoAutoencoder):
    """The first frame is repeated once, so that 1 + 2k frames make 1 + k pairs."""

    def encode(self, video):
        self.check_video(video)
        return self._split(torch.cat((video[:, :, :1], video), dim=2))

    def decode(self, latents, *, generator=None):
        return self._join(latents)[:, :, 1:]

    def forward_train(self, video):
        return self.decode(self.encode(video)), {}

    def encode_stream(self, pieces):
        waiting, frames = None, 0
        for piece in pieces:
            self.check_video(piece, whole=False)
            frames += piece.shape[2]
            waiting = torch.cat(
                (piece[:, :, :1] if waiting is None else waiting, piece), dim=2
            )
            whole = waiting.shape[2] // 2 * 2
            if whole:
                yield self._split(waiting[:, :, :whole])
            waiting = waiting[:, :, whole:]
        if waiting is not None and waiting.shape[2]:
            self.check_size(Size(frames, *waiting.shape[3:]))

    def decode_stream(self, pieces):
        for index, piece in enumerate(pieces):
            yield self._join(piece)[:, :, 1 if index == 0 else 0 :]

    def _split(self, x):
        for axis in AXES:
            even, odd = (
                x.unflatten(axis, (-1, 2)).select(axis, part) for part in (0, 1)
            )
            x = torch.cat((even + odd, even - odd), dim=1) * 0.5**0.5
        return x

    def _join(self, x):
        for axis in reversed(AXES):
            mean, difference = x.chunk(2, dim=1)
            pair = torch.stack((mean + difference, mean - difference), dim=axis)
            x = pair.flatten(axis - 1, axis) * 0.5**0.5
        return x
