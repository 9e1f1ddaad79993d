"""The grid over the entries of a table: the times of published samplers of variance-preserving processes.

Sources: 2305.08891 (table 2: leading, trailing, linspace), EDM (2206.00364, Karras), 2407.12173 (beta).
"""

from __future__ import annotations

import torch
from torch import Tensor

from vidgen.errors import ConfigError
from vidgen.process import Process
from vidgen_solvers.grid_config import TableGridConfig
from vidgen_solvers.spacing import spaced

__all__ = ["TableGrid"]


class TableGrid:
    """Entries of the table, or times at chosen ratios sigma / alpha between its ends."""

    def __init__(self, config: TableGridConfig) -> None:
        self.config = config

    def __call__(
        self, process: Process, steps: int, *, start: float, end: float, tokens: int | None
    ) -> Tensor:
        """Return the times; see `vidgen.interfaces.scheduler.Grid`. A part of the range squeezes them into it.

        Raises:
            ConfigError: For more steps than the table has entries.
        """
        entries = len(process.spec.table) or process.spec.steps
        if steps + self.config.cut > entries:
            raise ConfigError(f"{steps} steps are more than the table's {entries} entries allow; take fewer.")
        index = self.entries(entries, steps)
        t = process.index_to_time(index)
        between = (
            index != index.round() if self.config.respaced == "no" else torch.ones(steps, dtype=torch.bool)
        )
        if bool(between.any()):
            t = torch.where(between, process.time_of_log_snr(-self._ratios(process, index, entries).log()), t)
        if start < 1 or end >= t[-1]:
            first = start if start < 1 else float(t[0])
            t = end + t * ((first - end) / t[0])
            t[0] = first
        return torch.cat((t, t.new_tensor([end])))

    def entries(self, entries: int, steps: int) -> Tensor:
        """Return the entries that the spacing chooses, noisy to clean; fractions unless they are rounded."""
        c = self.config
        count = torch.arange(steps, dtype=torch.float64)
        if c.spacing == "trailing":
            return (entries - count * (entries / steps)).round() - 1
        places = steps + c.cut
        if c.spacing == "leading":
            return (places - 1 - count) * (entries // places) + c.offset
        index = (places - 1 - count) * ((entries - 1) / max(places - 1, 1))
        return index.round() if c.whole else index

    def _ratios(self, process: Process, index: Tensor, entries: int) -> Tensor:
        """Return sigma / alpha at each time."""
        alpha, sigma = process.alpha_sigma(process.index_to_time(torch.arange(entries)))
        table = sigma / alpha
        # pure noise has no finite ratio: what is noisiest beside it stands in
        table = table.clamp(max=float(table[table.isfinite()].max()))
        low = index.floor().long().clamp(0, entries - 1)
        part = index - low
        ratios = table[low] * (1 - part) + table[(low + 1).clamp(max=entries - 1)] * part
        c = self.config
        if c.respaced == "no":
            return ratios
        known = table.flip(0) if c.whole_table else ratios
        return spaced(c.respaced, c.sigma_max or float(known[0]), c.sigma_min or float(known[-1]), len(index))
