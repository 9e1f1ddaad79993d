"""Results in one SQLite file: a row a measured combination, written whole or not at all. No torch here."""

from __future__ import annotations

import functools
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Self

from vidgen.bench.schema import SCHEMA, SCHEMA_VERSION, STATUSES, RowStatus
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
        create: False reads a file that is there, and changes nothing in it.

    Raises:
        ResultsError: For a file that is none, or of another version; then and later for one that is damaged, or that
            cannot be written.
    """

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        self.path = Path(path)
        if not create and not self.path.is_file():
            raise ResultsError(f"There are no results in {self.path}; `vidgen bench` makes some.")
        with self._told():
            if create:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open("rwc" if create else "rw")
            try:
                version, found = self._look()
            except sqlite3.OperationalError:
                if create or _waits(self.path):
                    raise
                self._open("ro&immutable=1")  # a file system that nobody can write keeps no index of readers
                version, found = self._look()
            if version not in (0, SCHEMA_VERSION):
                raise ResultsError(
                    f"{self.path} holds results of version {version}, not {SCHEMA_VERSION}; take another file."
                )
            empty = not version and not found
            if not found.issuperset(_tables()) and not (create and empty):
                raise ResultsError(
                    f"{self.path} is no file of results: it lacks their tables; take another file."
                )
            self.database.execute("PRAGMA foreign_keys=ON")
            if not create:
                self.database.execute("PRAGMA query_only=ON")
                return
            if empty:
                self.database.executescript(
                    f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
                )
            # Refused while another process has the file open; whoever opens it next asks again.
            with suppress(sqlite3.OperationalError):
                self.database.execute("PRAGMA journal_mode=WAL")

    def _open(self, mode: str) -> None:
        address = f"{self.path.absolute().as_uri()}?mode={mode}"
        self.database = sqlite3.connect(address, uri=True, isolation_level=None, timeout=30)

    def _look(self) -> tuple[int, set[str]]:
        """Return the version, and tables with their columns."""
        # One statement, so that a file that another process is making is seen without tables or with all of them.
        version, found = self.database.execute(
            f"SELECT user_version, ({_COLUMNS}) FROM pragma_user_version"
        ).fetchone()
        return version, set((found or "").split())

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in one line what is wrong with the file; what is wrong with values stays as it is."""
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError):
            raise
        except (sqlite3.Error, OSError) as problem:
            outside = isinstance(problem, (sqlite3.OperationalError, OSError))
            what = "cannot be read or written" if outside else "is no file of results, or is damaged"
            raise ResultsError(f"{self.path} {what}: {problem}.") from problem

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
        with self._told():
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.database.execute("COMMIT")
            except BaseException:
                if self.database.in_transaction:  # a full disk ends it
                    self.database.execute("ROLLBACK")
                raise

    def read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a query finds.

        Raises:
            ResultsError: For a file that is damaged.
        """
        with self._told():
            return self.database.execute(query, values).fetchall()

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
        found = self.read("SELECT data FROM plan ORDER BY created, id")
        return [self._table(text, "plan") for (text,) in found]

    def add(self, rows: Iterable[Row], *, replace: bool = False) -> None:
        """Write rows with their measures and artefacts in one transaction.

        Args:
            rows: What to write.
            replace: Take out the row that has the key; else it stays as it is.
        """
        with self._whole():
            for row in rows:
                if replace:
                    self.database.execute('DELETE FROM "row" WHERE key = ?', (row.key,))
                values = (row.key, row.suite, *(row.parts.get(kind, "") for kind in INTERFACES), row.status, row.reason,
                          _text(row.recipe), _text(row.settings), row.seed, row.started or now(), row.seconds,
                          _text(row.machine), _text(row.versions), row.git_commit, row.load)  # fmt: skip
                marks = ", ".join("?" * len(values))
                made = self.database.execute(
                    f'INSERT OR IGNORE INTO "row" VALUES ({marks})', [_encodable(one) for one in values]
                )
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
        return dict(self.read('SELECT key, status FROM "row"'))

    def seconds(self) -> dict[str, list[float]]:
        """Return what rows that came out well took, by suite."""
        found: dict[str, list[float]] = {}
        for suite, value in self.read("SELECT suite, seconds FROM \"row\" WHERE status = 'ok'"):
            found.setdefault(suite, []).append(self._checked(value, float, "seconds"))
        return found

    def rows(self, suite: str | None = None, *, artefacts: bool = False) -> list[Row]:
        """Return rows with their measures, in the order in which they were begun.

        Args:
            suite: Of this suite alone; None for all.
            artefacts: Read them too; else fetch them by `artefacts`.
        """
        where, given = ("", ()) if suite is None else ("WHERE suite = ?", (suite,))
        measures: dict[str, list[Measure]] = {}
        for key, *rest in self.read("SELECT * FROM measure ORDER BY rowid"):
            measures.setdefault(key, []).append(self._measure(*rest))
        rows = []
        order = f'SELECT {", ".join(_ROW)} FROM "row" {where} ORDER BY started, rowid'
        for found in self.read(order, given):
            key = found[0]
            own = tuple(self.artefacts(key)) if artefacts else ()
            one = dict(zip(_ROW, found, strict=True))
            rows.append(self._row(one, measures=tuple(measures.get(key, ())), artefacts=own))
        return rows

    def artefacts(self, key: str) -> list[Artefact]:
        """Return the artefacts of a row."""
        found = self.read(
            "SELECT name, mime, CAST(data AS BLOB) FROM artefact WHERE key = ? ORDER BY name", (key,)
        )
        return [Artefact(*one) for one in found]

    def _row(self, found: Mapping[str, Any], **more: Any) -> Row:
        """Return a row of the file, whose columns take anything."""
        fields: dict[str, Any] = {
            name: self._table(value, name)
            if name in ("recipe", "settings", "machine", "versions")
            else self._checked(value, _NUMBERS.get(name, str), name)
            for name, value in found.items()
        }
        parts = {kind: fields.pop(kind) for kind in INTERFACES}
        return Row(parts=parts, **fields, **more)

    def _measure(
        self, name: Any, unit: Any, better: Any, value: Any, low: Any, high: Any, samples: Any
    ) -> Measure:
        for text in (name, unit, better):
            self._checked(text, str, "text")
        self._checked(value, float, "value")
        for end in (low, high):
            self._checked(end, (float, type(None)), "low or high")
        read = self._checked(self._json(samples, "samples"), list, "samples")
        numbers = [float(self._checked(one, (float, int), "samples")) for one in read]
        return Measure(name, value, unit, better, low, high, tuple(numbers))

    def _table(self, text: Any, column: str) -> dict[str, Any]:
        return self._checked(self._json(text, column), dict, column)

    def _json(self, text: Any, column: str) -> Any:
        try:
            return json.loads(text)
        except (TypeError, ValueError, RecursionError) as problem:
            raise ResultsError(f"{self.path} is damaged: {column} holds no JSON ({problem}).") from None

    def _checked(self, value: Any, kind: type | tuple[type, ...], column: str) -> Any:
        if not isinstance(value, kind):
            raise ResultsError(f"{self.path} is damaged: {column} holds {str(value)[:40]!r}.")
        return value

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


_ROW = ("key", "suite", *INTERFACES, "status", "reason", "recipe", "settings", "seed", "started", "seconds", "machine",
        "versions", "git_commit", "load")  # fmt: skip
_NUMBERS: Mapping[str, type] = {"seed": int, "seconds": float, "load": float}
_COLUMNS = """
SELECT group_concat(one.name || '.' || its.name, ' ') FROM sqlite_master AS one, pragma_table_info(one.name) AS its
WHERE one.type = 'table'
"""


@functools.cache
def _tables() -> set[str]:
    """Return the tables of `SCHEMA` with their columns, as ``row.key``."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(SCHEMA)
        return set(database.execute(_COLUMNS).fetchone()[0].split())


def _waits(path: Path) -> bool:
    """Return whether rows wait beside a file to be put into it, where a run was killed."""
    beside = path.with_name(f"{path.name}-wal")
    return beside.exists() and beside.stat().st_size > 0


def _encodable(value: Any) -> Any:
    """Write what UTF-8 cannot, such as an odd name of a file, by backslashes."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
