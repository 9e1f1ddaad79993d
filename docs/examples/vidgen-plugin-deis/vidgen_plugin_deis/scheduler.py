"""DEIS (rho-AB2, arXiv 2204.13902): Adams-Bashforth steps on the noise estimate.

With y = x / alpha and rho = sigma / alpha every process obeys dy = eps drho, where eps is the estimate of the noise.
"""

import torch
import vidgen
from vidgen.errors import ConfigError


class Deis(vidgen.Scheduler):
    """Uniform times; the slope of the step before bends this one. First and last steps are straight."""

    def grid(self, process, steps, *, tokens=None, start=None):
        start = self.config.start if start is None else start
        if steps < 1 or not 0 < start <= 1:
            raise ConfigError(
                f"steps must be at least 1, start in (0, 1]: {steps}, {start}."
            )
        return vidgen.TimeGrid.of(
            process, torch.linspace(start, 0, steps + 1, dtype=torch.float64)
        )

    def solve(self, denoise, x, grid, *, generators=None, on_step=None):
        before = None
        for i in range(grid.steps):
            (alpha, next_alpha), (sigma, next_sigma) = (
                map(float, values[i : i + 2]) for values in (grid.alpha, grid.sigma)
            )
            clean = denoise(x, float(grid.t[i]))
            noise = (x - alpha * clean) / sigma
            x = next_alpha * clean + next_sigma * noise
            if alpha > 0:
                step = next_sigma / next_alpha - sigma / alpha
                if before is not None and next_sigma > 0:
                    last_noise, last_step = before
                    x = x + next_alpha * step * step / (2 * last_step) * (
                        noise - last_noise
                    )
                before = noise, step
            if on_step is not None:
                on_step(i, x)
        return x
