"""``vidgen bench``: measure every combination of parts, each in a process of its own."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidgen.cli.fields import read_value
from vidgen.cli.output import note, print_json, print_table
from vidgen.errors import ConfigError, ResultsError, closest

if TYPE_CHECKING:
    from vidgen.bench.plan import Job, Plan
    from vidgen.bench.store import RowStatus

__all__ = ["add_to", "bench"]

Words = list[str] | None
_PART = "NAME, NAME/PRESET or NAME@WEIGHTS, with wildcards; several by commas or by repeating it."


def bench(
    plan: Annotated[
        Path | None, typer.Argument(help="A TOML or JSON plan; options change and complete it.")
    ] = None,
    autoencoder: Annotated[Words, typer.Option(help=_PART)] = None,
    denoiser: Annotated[Words, typer.Option(help=_PART)] = None,
    text_encoder: Annotated[Words, typer.Option(help=_PART)] = None,
    scheduler: Annotated[Words, typer.Option(help=_PART)] = None,
    exclude: Annotated[
        Words, typer.Option(metavar="KIND=PATTERN[,...]", help="Leave out what matches all; may be repeated.")
    ] = None,
    suite: Annotated[Words, typer.Option(help="Suites, by commas.  [default: speed]")] = None,
    changes: Annotated[
        Words,
        typer.Option("--set", metavar="SUITE.FIELD=VALUE", help="Also sampling.FIELD; may be repeated."),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="By commas; each makes rows of its own.")] = None,
    out: Annotated[Path, typer.Option(help="The file of results (SQLite); what it holds is kept.")] = Path(
        "results.db"
    ),
    time: Annotated[str | None, typer.Option(help="Begin nothing that would last beyond: 90s, 2h.")] = None,
    timeout: Annotated[str | None, typer.Option(help="Longest time of one row.  [default: 30m]")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Rows at a time, of suites that do not time.")
    ] = None,
    memory: Annotated[float | None, typer.Option(min=0, help="Largest memory of a row in GB.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="local, or ray for a Ray cluster.  [default: local]")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Of the cluster: HOST:PORT, ray://HOST:PORT.  [default: auto]")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, or auto.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, or auto.")] = None,
    retry: Annotated[
        str | None, typer.Option(help="Measure rows of these statuses again, by commas.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say it as JSON (with --dry-run).")] = False,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="OLD NEW", help="Measure nothing: find what became worse; exit code 1 if something did."
        ),
    ] = None,
) -> None:
    """Measure combinations of parts: cost, yield, what fits.

    Every combination has a process of its own; whatever happens to it is a row with a status and a reason. Rows that
    are in the file are not measured again, so the same command goes on where it was stopped or killed. Parts that
    are not named are the shipped default model's.

    \b
    Examples:
      vidgen bench --scheduler "*"
      vidgen bench --autoencoder "sora-vae/tiny,wf-vae/tiny" --denoiser "*/tiny" --text-encoder "words/tiny" --dry-run
      vidgen bench plan.toml --out results.db --time 2h
      vidgen bench plan.toml --engine ray --address 10.0.0.1:6379
      vidgen bench --compare old.db new.db
      vidgen bench --denoiser "*/tiny" --exclude "denoiser=wan*" --suite speed,memory --set speed.repeats=7
    """  # noqa: D301
    if compare is not None:
        rest = (plan, autoencoder, denoiser, text_encoder, scheduler, exclude, suite, changes, seeds, time, timeout,
                jobs, memory, engine, address, device, dtype, retry)  # fmt: skip
        if dry_run or as_json or any(one is not None for one in rest):
            raise ConfigError(
                "--compare OLD NEW stands alone: nothing is measured, so leave plan and options out."
            )
        _compare(*compare)
    from vidgen.bench.plan import Plan
    from vidgen.bench.run import run_plan
    from vidgen.bench.store import STATUSES, Store

    parts = {
        "autoencoder": autoencoder,
        "denoiser": denoiser,
        "text_encoder": text_encoder,
        "scheduler": scheduler,
    }
    again = _words([retry] if retry else None)
    for status in again:
        if status not in STATUSES:
            raise ConfigError(f"There is no status {status!r}.{closest(status, STATUSES)}")
    wanted = Plan() if plan is None else Plan.load(plan)
    wanted = _changed(wanted, parts, exclude, suite, changes, seeds)
    running = {"time": time, "timeout": timeout, "jobs": jobs, "memory": memory,
               "engine": engine, "address": address}  # fmt: skip
    run = wanted.run.replace(**{name: value for name, value in running.items() if value is not None})
    where = {name: value for name, value in (("device", device), ("dtype", dtype)) if value is not None}
    wanted = wanted.replace(run=run, **where)

    every = wanted.jobs()
    there: dict[str, RowStatus] = {}
    known: dict[str, list[float]] = {}
    if out.exists() and not (out.is_file() and out.stat().st_size == 0):
        with Store(out, create=False) as store:
            there = {key: status for key, status in store.statuses().items() if status not in again}
            known = store.seconds()
    outlook = functools.partial(_outlook, there=there, known=known, slots=wanted.run.jobs)
    if dry_run:
        _foresee(wanted, every, known, outlook, as_json=as_json)
        return
    todo, kept, refused, seconds = outlook(every)
    note(
        f"{len(every)} rows: {kept} there, {refused} refused, {len(todo)} to measure, about {_span(seconds)}"
    )
    try:
        summary = run_plan(wanted, out, jobs=every, retry=again)  # type: ignore[arg-type]
    except KeyboardInterrupt:
        note(f"stopped; what is done is in {out}; the same command goes on from there")
        raise typer.Exit(130) from None
    made = ", ".join(f"{count} {status}" for status, count in sorted(summary.made.items())) or "nothing"
    line = f"wrote {out}: {made}; {summary.kept} were there; {_span(summary.seconds)}"
    if summary.left:
        line += f"; {summary.left} left, which --time forbade to begin: the same command goes on"
    print(line)


def _compare(old: Path, new: Path) -> None:
    """Print what became worse, and leave with 1 if something did."""
    from vidgen.bench.compare import compare

    found = compare(old, new)
    if not found.rows:
        raise ResultsError(
            f"{old} and {new} have no row in common ({found.missing} and {found.added} rows): none of the same suite, "
            "parts, settings and seed."
        )
    print(found)
    raise typer.Exit(bool(found.regressions))


def _changed(
    plan: Plan,
    parts: Mapping[str, Words],
    exclude: Words,
    suite: Words,
    changes: Words,
    seeds: str | None,
) -> Plan:
    """Return a plan with what options say."""
    new: dict[str, Any] = {kind: _words(given) for kind, given in parts.items() if given}
    if exclude:
        new["exclude"] = (*plan.exclude, *map(_pairs, exclude))
    if suite:
        new["suites"] = _words(suite)
    if seeds:
        try:
            new["seeds"] = tuple(int(one) for one in _words([seeds]))
        except ValueError:
            raise ConfigError(f"--seeds are whole numbers by commas, not {seeds!r}.") from None
    # Naming some suites leaves the plan's settings of the others aside.
    named = [word.partition("/")[0] for word in new.get("suites", ())]
    tables = {name: dict(fields) for name, fields in (plan.suite or {}).items()}
    suites = {name: fields for name, fields in tables.items() if not named or name in named}
    sampling: dict[str, Any] = {}
    for change in changes or ():
        key, equals, text = change.partition("=")
        table, dot, field = key.strip().partition(".")
        if not (equals and dot and field):
            raise ConfigError(f"--set reads SUITE.FIELD=VALUE, such as speed.repeats=7, not {change!r}.")
        (sampling if table == "sampling" else suites.setdefault(table, {}))[field] = read_value(text)
    if sampling:
        new["sampling"] = plan.sampling.replace(**sampling)
    if tables or suites:
        new["suite"] = suites
    return plan.replace(**new)


def _words(given: Sequence[str] | None) -> tuple[str, ...]:
    """Split at commas."""
    return tuple(word.strip() for text in given or () for word in text.split(",") if word.strip())


def _pairs(text: str) -> dict[str, str]:
    """Read ``denoiser=wan*,scheduler=heun``."""
    found = {}
    for pair in _words([text]):
        kind, equals, pattern = pair.partition("=")
        if not equals or not pattern.strip():
            raise ConfigError(f"--exclude reads KIND=PATTERN, such as denoiser=wan*, not {pair!r}.")
        found[kind.strip().replace("-", "_")] = pattern.strip()
    return found


Outlook = tuple[list["Job"], int, int, float]


def _outlook(
    jobs: Sequence[Job],
    there: Collection[str],
    known: Mapping[str, Sequence[float]],
    slots: int,
) -> Outlook:
    """Return the rows to measure, how many are there, how many are refused, and the seconds to expect."""
    from vidgen.bench.plan import expected_seconds

    missing = [job for job in jobs if job.key not in there]
    todo = [job for job in missing if job.status == "ok"]
    return todo, len(jobs) - len(missing), len(missing) - len(todo), expected_seconds(todo, known, slots)


def _foresee(
    plan: Plan,
    jobs: Sequence[Job],
    known: Collection[str],
    outlook: Callable[[Sequence[Job]], Outlook],
    *,
    as_json: bool,
) -> None:
    """Print the combinations, why some are refused, and how long the rest may take."""
    standing = Counter(one.standing for one in plan.combinations())
    refusals = Counter((job.status, job.reason) for job in jobs if job.status != "ok")
    by_suite = []
    for name in dict.fromkeys(job.suite for job in jobs):
        todo, there, refused, seconds = outlook([job for job in jobs if job.suite == name])
        row: dict[str, Any] = {"suite": name, "to measure": len(todo), "there": there, "refused": refused}
        by = "rows before" if name in known else "a guess"
        by_suite.append({**row, "seconds": round(seconds, 1), "by": by})
    if as_json:
        reasons = [
            {"status": status, "reason": why, "rows": count} for (status, why), count in refusals.items()
        ]
        rows = [{"key": job.key, "suite": job.suite, "seed": job.seed, "status": job.status, **job.parts}
                for job in jobs]  # fmt: skip
        print_json({"combinations": standing, "suites": by_suite, "refusals": reasons, "rows": rows})
        return
    counts = ", ".join(f"{count} {name}" for name, count in standing.items())
    print(f"{standing.total()} combinations: {counts}")
    for (status, reason), count in refusals.most_common():
        print(f"{status}, {count} {'row' if count == 1 else 'rows'}: {reason}")
    cells = [(row["suite"], str(row["to measure"]), str(row["there"]), str(row["refused"]),
              f"{_span(row['seconds'])} by {row['by']}") for row in by_suite]  # fmt: skip
    print_table(("suite", "to measure", "there", "refused", "time"), cells)
    total = sum(row["seconds"] for row in by_suite)
    budget = f"; --time {plan.run.time} begins no row beyond" if plan.run.time else ""
    print(f"together about {_span(total)} of measuring{budget}")


def _span(seconds: float) -> str:
    """Write a span of time."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
    )


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bench")(bench)
