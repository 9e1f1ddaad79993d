"""The kinetic world as a data set: drawn on the fly, so nothing is stored and no pass repeats."""

from __future__ import annotations

import numpy as np

from vidgen.data import DataSet, Sample
from vidgen.size import Size
from vidgen_kinetic.config import KineticConfig
from vidgen_kinetic.world import Scene, caption, draw_scene, paraphrase, render, scenes_for_test

__all__ = ["KineticWorld"]

_SCENE, _WORDS, _BEHIND = 0, 1, 2  # independent streams of chance of one sample


class KineticWorld(DataSet):
    """Captioned moving shapes at any size.

    Args:
        config: Which split, how many, and how captions vary.
    """

    def __init__(self, config: KineticConfig | None = None) -> None:
        self.config = config or KineticConfig()
        self._test = scenes_for_test() if self.config.split == "test" else []

    def __len__(self) -> int:
        """Return `config.samples`."""
        return self.config.samples

    def scene(self, index: int, size: Size) -> Scene:
        """Return what is to be seen; of the size only whether it is a single image matters.

        Raises:
            IndexError: If the index is not in [0, len(self)).
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in [0, {len(self)})")
        rng = np.random.default_rng((self.config.seed, index, _SCENE))
        if not self._test:
            return self._draw(rng, size)
        return self._test[index % len(self._test)].at(float(rng.random()), float(rng.random()))

    def sample(self, index: int, size: Size) -> Sample:
        """Draw the video of an index at a size, with its caption."""
        rng = np.random.default_rng((self.config.seed, index, _BEHIND))
        behind = [self._draw(rng, size) for _ in range(self.config.objects - 1)]
        video = render(self.scene(index, size), size.frames, size.height, size.width, behind)
        return Sample(video, self.caption(index, size, 0))

    def caption(self, index: int, size: Size, draw: int) -> str:
        """Return a caption of `sample(index, size)`; another `draw` may word it differently."""
        scene, image = self.scene(index, size), size.frames == 1
        if not self.config.paraphrase:
            return caption(scene, image=image)
        rng = np.random.default_rng((self.config.seed, index, _WORDS, draw))
        return paraphrase(scene, rng, image=image)

    def _draw(self, rng: np.random.Generator, size: Size) -> Scene:
        return draw_scene(rng, image=size.frames == 1, shapes=self.config.shapes, motions=self.config.motions)
