"""What is to be measured: parts by wildcards, suites and seeds, checked before anything is built. No torch here."""

from __future__ import annotations

import fnmatch
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

from vidgen.bench.marks import contents_of, mark_of
from vidgen.bench.running import RunConfig, check_place, read_span
from vidgen.bench.store import RowStatus, digest
from vidgen.bench.suite import SuiteConfig
from vidgen.checkpoint import default_pretrained
from vidgen.config import Config, config, require
from vidgen.contract import AutoencoderContract, DenoiserContract
from vidgen.errors import ConfigError, UnknownNameError, VidgenError, closest
from vidgen.matrix import addresses, combinations
from vidgen.parts import Address, read_choice
from vidgen.recipe import Recipe, Sampling, Slot, read_tables
from vidgen.registry import find, list_components, plugins
from vidgen.size import Size
from vidgen.spec import INTERFACES, ComponentSpec

__all__ = ["Candidate", "Job", "Plan", "RunConfig", "default_part", "expected_seconds", "read_span"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A row to be.

    Attributes:
        key: Digest of recipe, suite, settings, seed, and the content of the files of weights that they name.
        suite: Name of the suite.
        parts: Addresses of the parts that the suite reads, empty ones for the others.
        recipe: Those parts with their configurations, and sampling, as plain data.
        settings: The suite's fields, device and dtype.
        seed: Of everything random.
        status: ``ok`` is to be measured; else what it is without measuring.
        reason: Why it is not measured.
        serial: It takes turns with others and runs beside none.
        guess: Seconds that it may take.
        group: The same for rows that share work, such as a training; empty where nothing is shared.
    """

    key: str
    suite: str
    parts: Mapping[str, str]
    recipe: Mapping[str, Any]
    settings: Mapping[str, Any]
    seed: int
    status: RowStatus = "ok"
    reason: str = ""
    serial: bool = False
    guess: float = 0.0
    group: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A combination and what becomes of it.

    Attributes:
        parts: An address for each kind.
        standing: ``native``, ``must be trained``, ``refused``, or ``broken``: a plugin that does not load.
        reason: Why it is refused.
        broken: Why parts cannot be found, by kind.
    """

    parts: Mapping[str, str]
    standing: Literal["native", "must be trained", "refused", "broken"]
    reason: str = ""
    broken: Mapping[str, str] = field(default_factory=dict)


@config
class Plan(Config):
    """What is to be measured, as flags or a TOML file say it.

    Attributes:
        autoencoder: Names with wildcards, as in `vidgen.matrix.addresses`; empty takes the shipped default model's.
        denoiser: Likewise.
        text_encoder: Likewise.
        scheduler: Likewise.
        exclude: Tables of patterns by kind; a combination that matches all patterns of a table is left out.
        suites: Names, with a preset where wished (``speed/quick``).
        suite: Fields of suites, a table each: ``[suite.speed]``.
        sampling: Size, steps and guidance of what is generated; sizes that parts cannot make are padded.
        seeds: Each makes a row of its own.
        device: Where parts work; ``auto`` takes an accelerator if there is one.
        dtype: Of their weights.
        foreign: Trained parts may meet spaces that they do not know.
        adapt: Trainable projections bridge different channels and widths.
        run: How it is worked off.
    """

    autoencoder: tuple[str, ...] = ()
    denoiser: tuple[str, ...] = ()
    text_encoder: tuple[str, ...] = ()
    scheduler: tuple[str, ...] = ()
    exclude: tuple[Any, ...] = ()
    suites: tuple[str, ...] = ("speed",)
    suite: Any = None
    sampling: Sampling = Sampling()
    seeds: tuple[int, ...] = (0,)
    device: str = "cpu"
    dtype: str = "float32"
    foreign: bool = False
    adapt: bool = False
    run: RunConfig = RunConfig()

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a TOML or JSON file; a string stands for a list of one."""
        lists = (*INTERFACES, "suites")
        try:
            return cls.from_dict({key: (value,) if key in lists and isinstance(value, str) else value
                                  for key, value in read_tables(path).items()})  # fmt: skip
        except RecursionError:
            raise ConfigError(f"{path} nests too deep to be a plan.") from None

    def validate(self) -> None:
        """Check what can be checked without looking for parts."""
        require(bool(self.suites), "The plan names no suite; `vidgen list suite` shows what there is.")
        require(bool(self.seeds), "The plan names no seed; leave seeds out for seed 0.")
        for seed in self.seeds:
            require(-(2**63) <= seed < 2**63, f"A seed has at most 64 bits; {seed} has more.")
        check_place(self.device, self.dtype)
        names = [Address.parse(one).name for one in self.suites]
        twice = [name for name, count in Counter(names).items() if count > 1]
        require(not twice, f"The plan names the suite {twice[0] if twice else ''!r} twice.")
        tables = self.suite or {}
        require(isinstance(tables, Mapping), "suite holds a table a suite: [suite.speed].")
        for name, fields in tables.items():
            require(isinstance(fields, Mapping), f"suite.{name} must be a table of fields.")
            require("name" not in fields, f"suite.{name}.name: the suite is named already; take it out.")
            if name not in names:
                raise ConfigError(
                    f"[suite.{name}] sets a suite that the plan does not name.{closest(name, names)} "
                    f"Its suites: {', '.join(names)}."
                )
        for table in self.exclude:
            require(isinstance(table, Mapping) and bool(table),
                    "exclude holds tables of patterns, such as {denoiser = 'wan*', scheduler = 'heun'}.")  # fmt: skip
            for kind, pattern in table.items():
                if kind not in INTERFACES:
                    raise ConfigError(f"exclude knows no part {kind!r}.{closest(str(kind), INTERFACES)}")
                require(isinstance(pattern, str), f"exclude.{kind} must be a pattern, not {pattern!r}.")

    # What it comes to

    def chosen_suites(self) -> list[tuple[ComponentSpec, SuiteConfig]]:
        """Return the suites with their settings.

        Raises:
            UnknownNameError: For a suite that nobody registered.
            ConfigError: For a component that is no suite of this kind.
        """
        found = []
        for address in self.suites:
            fields = dict((self.suite or {}).get(Address.parse(address).name, {}))
            spec, settings = read_choice("suite", {**fields, "name": address})
            if not isinstance(settings, SuiteConfig):
                raise ConfigError(
                    f"The suite {spec.name!r} cannot be run: {type(settings).__name__} is no SuiteConfig."
                )
            for name in ("device", "dtype"):
                if name in settings.to_dict():
                    raise ConfigError(
                        f"The suite {spec.name!r} has a field {name!r}, which is the plan's; give it another name."
                    )
            settings.check()
            found.append((spec, settings))
        return found

    def patterns(self) -> dict[str, tuple[str, ...]]:
        """Return the patterns of each kind; what is not named is the shipped default model's."""
        return {kind: getattr(self, kind) or (default_part(kind),) for kind in INTERFACES}

    def combinations(self) -> Iterator[Candidate]:
        """Yield every combination that is not excluded, with what becomes of it."""
        fine, broken = self._addresses()
        if all(fine.values()):
            for one in combinations(fine, foreign=self.foreign, adapt=self.adapt):
                if not self._excluded(one.parts):
                    yield Candidate(one.parts, one.status, " ".join(one.reasons))
        if any(broken.values()):
            every = {kind: [*fine[kind], *broken[kind]] for kind in INTERFACES}
            for picked in itertools.product(*every.values()):
                parts = dict(zip(INTERFACES, picked, strict=True))
                reasons = {kind: broken[kind][one] for kind, one in parts.items() if one in broken[kind]}
                if reasons and not self._excluded(parts):
                    yield Candidate(parts, "broken", broken=reasons)

    def _addresses(self) -> tuple[dict[str, list[str]], dict[str, dict[str, str]]]:
        """Return the parts of each kind, and those that a broken plugin may bring, with the reason."""
        fine: dict[str, list[str]] = {kind: [] for kind in INTERFACES}
        broken: dict[str, dict[str, str]] = {kind: {} for kind in INTERFACES}
        plugin_broken = any(plugin.error for plugin in plugins())
        for kind, patterns in self.patterns().items():
            for pattern in patterns:
                for address in addresses(kind, pattern):
                    if address in fine[kind]:
                        continue
                    try:
                        find(kind, Address.parse(address).name)
                    except UnknownNameError as problem:
                        if not plugin_broken:  # a slip of the pen
                            raise
                        broken[kind][address] = str(problem)
                    else:
                        fine[kind].append(address)
        return fine, broken

    def _excluded(self, parts: Mapping[str, str]) -> bool:
        return any(
            all(
                fnmatch.fnmatchcase(parts[kind], pattern)
                or fnmatch.fnmatchcase(Address.parse(parts[kind]).name, pattern)
                for kind, pattern in table.items()
            )
            for table in self.exclude
        )

    def jobs(self) -> list[Job]:
        """Return the rows to be, those that need no measuring among them; each key once.

        Raises:
            VidgenError: For names that nobody registered and settings that are wrong.
        """
        suites = self.chosen_suites()
        every, slots = list(self.combinations()), _Slots()
        if not every:
            raise ConfigError("exclude leaves no combination out of any; take a pattern of it out.")
        sampling = self.sampling.to_dict()
        schedulers = {name: place for place, name in enumerate(one.parts["scheduler"] for one in every)}
        flags = {name: True for name in ("foreign", "adapt") if getattr(self, name)}
        common = {"sampling": sampling, **flags, "device": self.device, "dtype": self.dtype}
        base = digest(common, *contents_of(common))
        found: dict[str, Job] = {}
        for spec, settings in suites:
            fields = {**settings.to_dict(), "device": self.device, "dtype": self.dtype}
            head = digest(base, spec.name, fields, *contents_of(settings.to_dict()))
            # What takes long is shared by all schedulers: rows that would wait for each other stand apart.
            apart = sorted(every, key=lambda one: schedulers[one.parts["scheduler"]])
            for one, seed in itertools.product(every if settings.SERIAL else apart, self.seeds):
                parts = {kind: one.parts[kind] if kind in settings.READS else "" for kind in INTERFACES}
                marks = [slots.mark(kind, parts[kind]) for kind in settings.READS]
                key = digest(head, marks, seed)
                if key in found:
                    continue
                status, reason = slots.outlook(one, settings.READS, self.sampling.size)
                recipe = {kind: slots.data(kind, parts[kind]) for kind in settings.READS}
                shares = [slots.mark(kind, parts[kind]) for kind in settings.SHARES]
                found[key] = Job(
                    key=key,
                    suite=spec.name,
                    parts=parts,
                    recipe={**recipe, "sampling": sampling, **flags},
                    settings=fields,
                    seed=seed,
                    status=status,
                    reason=reason,
                    serial=settings.SERIAL,
                    guess=settings.GUESS,
                    group=digest(head, shares, seed) if shares else "",
                )
        return list(found.values())


class _Slots:
    """Slots by address, each read once."""

    def __init__(self) -> None:
        self._data: dict[tuple[str, str], dict[str, Any]] = {}
        self._marks: dict[tuple[str, str], str] = {}
        self._misfits: dict[tuple[str, str], str] = {}

    def data(self, kind: str, address: str) -> dict[str, Any]:
        """Return a slot as plain data; the name alone for a part that cannot be read."""
        at = (kind, address)
        if at not in self._data:
            try:
                slot = Slot.read(kind, address)
            except VidgenError:
                self._data[at] = {"name": address}
            else:
                # JSON has a null, unlike TOML: a field that follows its neighbour stays None, whatever its default is.
                open_too = {"name": slot.spec.name, "config": slot.config.to_dict()}
                self._data[at] = slot.to_dict() if slot.weights else open_too
        return self._data[at]

    def mark(self, kind: str, address: str) -> str:
        """Return a digest of the slot and of the weights that it names."""
        at = (kind, address)
        if at not in self._marks:
            self._marks[at] = mark_of(kind, self.data(kind, address))
        return self._marks[at]

    def outlook(self, one: Candidate, reads: Sequence[str], size: Size) -> tuple[RowStatus, str]:
        """Return what a row is before it is measured, and why: suites that read some parts only ask for no more."""
        broken = [reason for kind, reason in one.broken.items() if kind in reads]
        if broken:
            return "error", " ".join(broken)
        if len(reads) < len(INTERFACES):
            return "ok", ""
        reason = one.reason or self._misfit(size, one.parts)
        return ("incompatible", reason) if reason else ("ok", "")

    def _misfit(self, size: Size, parts: Mapping[str, str]) -> str:
        """Return why two parts cannot make a size, padded as need be; empty when they can."""
        at = parts["autoencoder"], parts["denoiser"]
        if at not in self._misfits:
            autoencoder: AutoencoderContract = Slot.read("autoencoder", at[0]).contract()
            denoiser: DenoiserContract = Slot.read("denoiser", at[1]).contract()
            latent, most = autoencoder.latent, denoiser.max_latent
            wanted = latent.latent_size(latent.padded(size))
            too_large = most is not None and any(a > b for a, b in zip(wanted, most, strict=True))
            self._misfits[at] = (
                f"denoiser {at[1]!r} makes at most {latent.pixel_size(most)} on {at[0]!r}, not {size}."
                if too_large and most is not None
                else ""
            )
        return self._misfits[at]


def default_part(kind: str) -> str:
    """Return the address of a part of the shipped default model."""
    folder = default_pretrained()
    slot = Recipe.load(folder).slot(kind)
    for tag in list_components("pretrained") if slot.weights else ():
        if getattr(find("pretrained", tag).preset(), "default", False):
            return f"{slot.spec.name}@{tag}"
    return slot.spec.name


def expected_seconds(jobs: Iterable[Job], known: Mapping[str, Sequence[float]], slots: int = 1) -> float:
    """Return how long rows may take together.

    Args:
        jobs: The rows.
        known: Seconds of rows that were measured before, by suite; where there are none, the suite's own guess counts.
        slots: Rows at a time, of suites that allow it.
    """
    total = 0.0
    for job in jobs:
        each = median(known[job.suite]) if known.get(job.suite) else job.guess
        total += each / (1 if job.serial else slots)
    return total
