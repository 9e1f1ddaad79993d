"""Results in one SQLite file: a row a measured combination, written whole or not at all. No torch here."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Self

from vidgen.errors import ResultsError
from vidgen.spec import INTERFACES

__all__ = [
    "SCHEMA",
    "SCHEMA_VERSION",
    "STATUSES",
    "Artefact",
    "Measure",
    "Row",
    "RowStatus",
    "Store",
    "digest",
]

SCHEMA_VERSION = 1
"""Of the tables below; a file of another version is refused."""

RowStatus = Literal["ok", "incompatible", "oom", "timeout", "error"]
STATUSES: tuple[RowStatus, ...] = ("ok", "incompatible", "oom", "timeout", "error")
"""What became of a combination; all but ``ok`` have a reason."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS plan (
    id TEXT PRIMARY KEY,            -- digest of data
    created TEXT NOT NULL,          -- UTC, ISO 8601
    schema_version INTEGER NOT NULL,
    data TEXT NOT NULL              -- JSON: the plan as it was asked for
);
CREATE TABLE IF NOT EXISTS "row" (
    key TEXT PRIMARY KEY,           -- digest of recipe, suite, settings and seed
    suite TEXT NOT NULL,
    autoencoder TEXT NOT NULL,      -- "name/preset@weights"; empty where the suite does not read the part
    denoiser TEXT NOT NULL,
    text_encoder TEXT NOT NULL,
    scheduler TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('ok', 'incompatible', 'oom', 'timeout', 'error')),
    reason TEXT NOT NULL,           -- one line; empty for ok
    recipe TEXT NOT NULL,           -- JSON: the parts that the suite reads, with their configurations, and sampling
    settings TEXT NOT NULL,         -- JSON: the suite's fields, device and dtype
    seed INTEGER NOT NULL,
    started TEXT NOT NULL,          -- UTC, ISO 8601
    seconds REAL NOT NULL,          -- of the row's own process while it had its turn
    machine TEXT NOT NULL,          -- JSON
    versions TEXT NOT NULL,         -- JSON
    git_commit TEXT NOT NULL,       -- empty outside a repository; ends in + where files were changed
    load REAL NOT NULL              -- average of the last minute when the row began
);
CREATE TABLE IF NOT EXISTS measure (
    key TEXT NOT NULL REFERENCES "row" (key) ON DELETE CASCADE,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    better TEXT NOT NULL CHECK (better IN ('less', 'more', '')),
    value REAL NOT NULL,            -- median or mean
    low REAL,                       -- its spread or interval
    high REAL,
    samples TEXT NOT NULL,          -- JSON list
    PRIMARY KEY (key, name)
);
CREATE TABLE IF NOT EXISTS artefact (
    key TEXT NOT NULL REFERENCES "row" (key) ON DELETE CASCADE,
    name TEXT NOT NULL,
    mime TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (key, name)
);
"""
"""The tables."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One measured figure.

    Attributes:
        name: Unique within a row, such as ``decode``.
        value: Median or mean.
        unit: Such as ``s``; empty for plain numbers.
        better: Whether ``less`` or ``more`` is better; empty where neither is.
        low: Lower end of the spread or interval; None for a figure without one.
        high: Upper end.
        samples: What the value was made of.
    """

    name: str
    value: float
    unit: str = ""
    better: Literal["less", "more", ""] = ""
    low: float | None = None
    high: float | None = None
    samples: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Artefact:
    """A video, a curve or a table that belongs to a row."""

    name: str
    mime: str
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What became of one combination in one suite; the fields are the columns of `SCHEMA`."""

    key: str
    suite: str
    parts: Mapping[str, str]
    status: RowStatus
    reason: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    started: str = ""
    seconds: float = 0.0
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    git_commit: str = ""
    load: float = 0.0
    measures: tuple[Measure, ...] = ()
    artefacts: tuple[Artefact, ...] = ()


def digest(*values: Any) -> str:
    """Return 16 hexadecimal digits that depend on plain data alone, whatever the order of its keys."""
    return sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


class Store:
    """The file.

    Args:
        path: Of the SQLite file; made if it is not there.
        create: False refuses a file that is not there.

    Raises:
        ResultsError: For a file that is none, or of another version.
    """

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        self.path = Path(path)
        if not create and not self.path.is_file():
            raise ResultsError(f"There are no results in {self.path}; `vidgen bench` makes some.")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.database = sqlite3.connect(self.path, isolation_level=None, timeout=30)
            # One statement, so that a file that another process is making is seen without tables or with all of them.
            version, tables = self.database.execute(
                "SELECT user_version, (SELECT count(*) FROM sqlite_master) FROM pragma_user_version"
            ).fetchone()
            if version != SCHEMA_VERSION and (version or tables):
                raise ResultsError(
                    f"{self.path} holds results of version {version}, not {SCHEMA_VERSION}; take another file."
                )
            self.database.execute("PRAGMA foreign_keys=ON")
            if version != SCHEMA_VERSION:
                self.database.executescript(
                    f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
                )
            # Refused while another process has the file open; whoever opens it next asks again.
            with suppress(sqlite3.OperationalError):
                self.database.execute("PRAGMA journal_mode=WAL")
        except (sqlite3.Error, OSError) as problem:
            raise ResultsError(f"{self.path} is no file of results: {problem}.") from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """All that is written within is there afterwards, or nothing of it."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def add_plan(self, data: Mapping[str, Any]) -> str:
        """Keep a plan (once, however often it is started) and return its identity."""
        identity, text = digest(data), json.dumps(data, sort_keys=True, default=str)
        with self._whole():
            self.database.execute(
                "INSERT OR IGNORE INTO plan VALUES (?, ?, ?, ?)", (identity, now(), SCHEMA_VERSION, text)
            )
        return identity

    def plans(self) -> list[dict[str, Any]]:
        """Return the plans, oldest first."""
        found = self.database.execute("SELECT data FROM plan ORDER BY created, id")
        return [json.loads(text) for (text,) in found]

    def add(self, rows: Iterable[Row]) -> None:
        """Write rows with their measures and artefacts in one transaction; a key that is there stays as it is."""
        with self._whole():
            for row in rows:
                values = (row.key, row.suite, *(row.parts.get(kind, "") for kind in INTERFACES), row.status, row.reason,
                          _text(row.recipe), _text(row.settings), row.seed, row.started or now(), row.seconds,
                          _text(row.machine), _text(row.versions), row.git_commit, row.load)  # fmt: skip
                marks = ", ".join("?" * len(values))
                made = self.database.execute(f'INSERT OR IGNORE INTO "row" VALUES ({marks})', values)
                if made.rowcount == 0:
                    continue
                for one in row.measures:
                    self.database.execute(
                        "INSERT INTO measure VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        (row.key, one.name, one.unit, one.better, one.value, one.low, one.high,
                         json.dumps(one.samples)),
                    )  # fmt: skip
                for file in row.artefacts:
                    self.database.execute(
                        "INSERT INTO artefact VALUES (?, ?, ?, ?)", (row.key, file.name, file.mime, file.data)
                    )

    def statuses(self) -> dict[str, RowStatus]:
        """Return the status of every row by its key."""
        return dict(self.database.execute('SELECT key, status FROM "row"').fetchall())

    def seconds(self) -> dict[str, list[float]]:
        """Return what rows that came out well took, by suite."""
        found: dict[str, list[float]] = {}
        for suite, value in self.database.execute("SELECT suite, seconds FROM \"row\" WHERE status = 'ok'"):
            found.setdefault(suite, []).append(value)
        return found

    def rows(self, suite: str | None = None, *, artefacts: bool = False) -> list[Row]:
        """Return rows with their measures, in the order in which they were begun.

        Args:
            suite: Of this suite alone; None for all.
            artefacts: Read them too; else fetch them by `artefacts`.
        """
        where, given = ("", ()) if suite is None else ("WHERE suite = ?", (suite,))
        measures: dict[str, list[Measure]] = {}
        for key, name, unit, better, value, low, high, samples in self.database.execute(
            "SELECT * FROM measure ORDER BY rowid"
        ):
            one = Measure(name, value, unit, better, low, high, tuple(json.loads(samples)))
            measures.setdefault(key, []).append(one)
        rows = []
        for found in self.database.execute(f'SELECT * FROM "row" {where} ORDER BY started, rowid', given):
            key, name, *rest = found
            parts = dict(zip(INTERFACES, rest[:4], strict=True))
            status, reason, recipe, settings, seed, started, seconds, machine, versions, commit, load = rest[
                4:
            ]
            rows.append(
                Row(
                    key=key,
                    suite=name,
                    parts=parts,
                    status=status,
                    reason=reason,
                    recipe=json.loads(recipe),
                    settings=json.loads(settings),
                    seed=seed,
                    started=started,
                    seconds=seconds,
                    machine=json.loads(machine),
                    versions=json.loads(versions),
                    git_commit=commit,
                    load=load,
                    measures=tuple(measures.get(key, ())),
                    artefacts=tuple(self.artefacts(key)) if artefacts else (),
                )
            )
        return rows

    def artefacts(self, key: str) -> list[Artefact]:
        """Return the artefacts of a row."""
        found = self.database.execute(
            "SELECT name, mime, data FROM artefact WHERE key = ? ORDER BY name", (key,)
        )
        return [Artefact(*one) for one in found]

    def forget(self, keys: Iterable[str]) -> None:
        """Remove rows with all that belongs to them, so that they are measured again."""
        with self._whole():
            self.database.executemany('DELETE FROM "row" WHERE key = ?', [(key,) for key in keys])


def now() -> str:
    """Return the time in UTC, to the millisecond, in ISO 8601."""
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, default=str)
