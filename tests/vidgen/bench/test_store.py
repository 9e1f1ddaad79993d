from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from threading import Barrier

import pytest

from vidgen.bench.store import SCHEMA_VERSION, Artefact, Measure, Row, Store, digest
from vidgen.errors import ResultsError

ROW = Row(
    key="k",
    suite="speed",
    parts={"autoencoder": "a", "denoiser": "d/tiny", "text_encoder": "", "scheduler": "s"},
    status="ok",
    recipe={"sampling": {"frames": 5}},
    settings={"repeats": 2},
    seed=3,
    started="2026-01-01T00:00:00.000Z",
    seconds=1.5,
    machine={"cores": 2},
    versions={"torch": "2"},
    git_commit="abc+",
    load=0.5,
    measures=(Measure("decode", 1.0, "s", "less", 0.9, 1.1, (0.9, 1.0, 1.1)), Measure("pace", 2.0)),
    artefacts=(Artefact("a.mp4", "video/mp4", b"\x00\x01"),),
)


def test_a_row_comes_back_as_it_was(tmp_path):
    with Store(tmp_path / "r.db") as store:
        store.add([ROW])
    with Store(tmp_path / "r.db", create=False) as store:
        assert store.rows(artefacts=True) == [ROW]
        assert store.rows("memory") == []
        assert store.statuses() == {"k": "ok"}
        assert store.seconds() == {"speed": [1.5]}


def test_a_key_is_written_once_and_forgotten_whole(tmp_path):
    with Store(tmp_path / "r.db") as store:
        store.add([ROW, ROW])
        store.add([ROW])
        assert len(store.rows()) == 1
        store.forget(["k"])
        assert store.rows() == []
        counts = [
            store.database.execute(f"SELECT count(*) FROM {name}").fetchone()
            for name in ("measure", "artefact")
        ]
        assert counts == [(0,), (0,)]


def test_rows_are_written_whole_or_not_at_all(tmp_path):
    twice = Row(
        key="t", suite="speed", parts={}, status="ok", measures=(Measure("a", 1.0), Measure("a", 2.0))
    )
    with Store(tmp_path / "r.db") as store:
        with pytest.raises(sqlite3.IntegrityError):
            store.add([ROW, twice])
        assert store.rows() == []


def test_a_plan_is_kept_once(tmp_path):
    with Store(tmp_path / "r.db") as store:
        assert store.add_plan({"a": 1, "b": 2}) == store.add_plan({"b": 2, "a": 1})
        assert store.plans() == [{"a": 1, "b": 2}]


def test_a_file_may_be_made_by_several_at_once(tmp_path):
    """A run, a page and a report may open it in the same moment."""
    start = Barrier(6)

    def open_and_write(round_):
        start.wait()
        with Store(tmp_path / f"{round_}.db") as store:
            return store.add_plan({"suites": ["speed"]})

    with ThreadPoolExecutor(6) as pool:
        for round_ in range(30):
            assert len(set(pool.map(open_and_write, [round_] * 6))) == 1
            with sqlite3.connect(tmp_path / f"{round_}.db") as database:
                assert database.execute("SELECT count(*) FROM plan").fetchone() == (1,)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.db").write_text("no database, but long enough to be taken for one" * 20)
    with pytest.raises(ResultsError, match="no file of results"):
        Store(tmp_path / "text.db")
    with pytest.raises(ResultsError, match="no results"):
        Store(tmp_path / "none.db", create=False)
    Store(tmp_path / "old.db").database.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    with pytest.raises(ResultsError, match="version"):
        Store(tmp_path / "old.db")
    foreign = sqlite3.connect(tmp_path / "foreign.db")
    foreign.execute("CREATE TABLE mine (x)")
    foreign.commit()
    with pytest.raises(ResultsError, match="take another file"):
        Store(tmp_path / "foreign.db")


def test_a_foreign_file_of_the_same_version_stays_as_it_is(tmp_path):
    path = tmp_path / "foreign.db"
    with closing(sqlite3.connect(path)) as foreign:
        foreign.executescript(f'CREATE TABLE "row" (x); PRAGMA user_version={SCHEMA_VERSION}')
    before = path.read_bytes()
    for create in (True, False):
        with pytest.raises(ResultsError, match="lacks their tables"):
            Store(path, create=create)
    assert path.read_bytes() == before


def test_a_reader_changes_nothing(tmp_path):
    path = tmp_path / "r.db"
    path.touch()
    with pytest.raises(ResultsError, match="no file of results"):
        Store(path, create=False)
    assert path.read_bytes() == b""
    with Store(path) as store:
        store.add([ROW])
    before = path.read_bytes()
    with Store(path, create=False) as store:
        assert store.rows(artefacts=True) == [ROW]
        with pytest.raises(ResultsError, match="readonly"):
            store.forget(["k"])
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["r.db"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_nobody_can_write_is_read(tmp_path):
    folder = tmp_path / "kept"
    with Store(folder / "r.db") as store:
        store.add([ROW])
    (folder / "r.db").chmod(0o400)
    folder.chmod(0o500)
    try:
        with Store(folder / "r.db", create=False) as store:
            assert store.rows(artefacts=True) == [ROW]
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE \"row\" SET recipe = '{'",
        'UPDATE "row" SET settings = 3',
        "UPDATE \"row\" SET seconds = 'long'",
        "UPDATE \"row\" SET reason = x'ff'",
        "UPDATE \"row\" SET machine = '[1]'",
        "UPDATE measure SET value = 'high'",
        "UPDATE measure SET low = x'00'",
        "UPDATE measure SET samples = '[null]'",
    ],
)
def test_damaged_rows_are_said_in_one_line(tmp_path, damage):
    with Store(tmp_path / "r.db") as store:
        store.add([ROW])
        store.database.execute(damage)
    with Store(tmp_path / "r.db", create=False) as store, pytest.raises(ResultsError, match="is damaged"):
        store.rows()


def test_damaged_pages_are_said_in_one_line(tmp_path):
    with Store(tmp_path / "r.db") as store:
        store.add([ROW])
    whole = (tmp_path / "r.db").read_bytes()
    (tmp_path / "r.db").write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(ResultsError, match="damaged"), Store(tmp_path / "r.db", create=False) as store:
        store.rows()


def test_a_full_disk_is_said_in_one_line(tmp_path):
    large = replace(ROW, artefacts=(Artefact("a", "b", b"x" * 1_000_000),))
    with Store(tmp_path / "r.db") as store:
        store.database.execute("PRAGMA max_page_count=20")
        with pytest.raises(ResultsError, match="cannot be read or written: database or disk is full"):
            store.add([large])
        assert store.rows() == []


def test_a_row_is_replaced_whole(tmp_path):
    with Store(tmp_path / "r.db") as store:
        store.add([ROW])
        new = replace(ROW, measures=(), artefacts=(), reason="caf\udce9")
        store.add([new], replace=True)
        assert store.rows(artefacts=True) == [replace(new, reason="caf\\udce9")]


def test_names_that_mean_something_to_sqlite_are_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", "file:x.db", "a?b#c%20.db"):
        with Store(name) as store:
            store.add([ROW])
        with Store(name, create=False) as store:
            assert store.statuses() == {"k": "ok"}
        assert (tmp_path / name).is_file()


def test_a_digest_depends_on_the_data_alone():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})
