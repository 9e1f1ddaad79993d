"""The tables of a file of results. No torch here."""

from __future__ import annotations

from typing import Literal

__all__ = ["SCHEMA", "SCHEMA_VERSION", "STATUSES", "RowStatus"]

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
