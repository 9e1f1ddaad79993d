"""The log of a training: each step once, whatever was killed."""

from __future__ import annotations

import json

from vidgen.train.meter import Log


def steps(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_steps_that_come_again_are_dropped_and_so_is_half_a_line(tmp_path):
    path = tmp_path / "training" / "log.jsonl"
    log = Log(path, 0)
    for step in (10, 20, 30):
        log.write(step, {"loss": 1 / 3}, 4.567)
    assert json.loads(path.read_text().splitlines()[0]) == {"step": 10, "loss": 0.333333, "pace": 4.57}
    with path.open("a") as file:
        file.write('{"step": 4')  # killed while it wrote
    log = Log(path, 20)
    assert steps(path) == [10, 20]
    log.write(30, {"loss": 0.5}, 4.0)
    Log(path, 30)
    assert steps(path) == [10, 20, 30]
    Log(path, 0)
    assert steps(path) == []
    assert [one.name for one in path.parent.iterdir()] == ["log.jsonl"]
