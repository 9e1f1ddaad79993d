"""What a suite is: measurements of a combination, in a process of its own. No torch here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from vidgen.config import Config, config
from vidgen.spec import INTERFACES

if TYPE_CHECKING:
    from vidgen.bench.work import Work

__all__ = ["Suite", "SuiteConfig"]


@config
class SuiteConfig(Config):
    """Base of suites' configurations; every field is part of a row's key, so other settings are other rows.

    READS names the parts that the figures depend on: combinations that share them share one row, whose other parts are
    empty. SERIAL runs rows one at a time and lets a few take turns (see `Work.pause`). GUESS is what a row takes in
    seconds, until rows have been measured. SHARES names the parts on which the work depends that rows share (see
    `Work.sharing`), if they do: a cluster keeps such rows on one node.
    """

    READS: ClassVar[tuple[str, ...]] = INTERFACES
    SERIAL: ClassVar[bool] = False
    GUESS: ClassVar[float] = 10.0
    SHARES: ClassVar[tuple[str, ...]] = ()

    def check(self) -> None:
        """Refuse names of components that nobody registered, before anything is measured; none by default."""


class Suite(ABC):
    """A component of the kind ``suite``.

    Args:
        config: The configuration.
    """

    def __init__(self, config: SuiteConfig) -> None:
        self.config = config

    @abstractmethod
    def measure(self, work: Work) -> None:
        """Measure one combination: `Work.pipe` makes it, `Work.add` and `Work.keep` take what was found.

        Whatever is raised becomes the row's status and reason: parts or sizes that do not fit ``incompatible``, a lack
        of memory ``oom``, all else ``error``. A value that is not finite is an error too.
        """
