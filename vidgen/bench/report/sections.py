"""The sections of the page that are plain HTML: tables of rows, videos, what did not run, machines."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from html import escape as text

from vidgen.bench.report.figures import figure, span
from vidgen.bench.report.media import Video
from vidgen.bench.report.summary import by_reason, hosts, words
from vidgen.bench.store import Measure, Row
from vidgen.spec import INTERFACES

__all__ = ["machines", "refused", "tables", "videos"]


def tables(rows: Sequence[Row], named: Mapping[str, str], number: Mapping[str, int]) -> list[str]:
    """Return a table a run, of the rows that came out well."""
    good = [row for row in rows if row.status == "ok"]
    blocks = []
    for run in dict.fromkeys(named[row.key] for row in good):
        members = [row for row in good if named[row.key] == run]
        kinds = [kind for kind in INTERFACES if any(row.parts.get(kind) for row in members)]
        names = list(
            dict.fromkeys((one.name, one.unit, one.better) for row in members for one in row.measures)
        )
        known = {row.key: {(one.name, one.unit, one.better): one for one in row.measures} for row in members}
        best = {
            name: _best([known[row.key][name] for row in members if name in known[row.key]]) for name in names
        }
        head = [f"<th>{kind.replace('_', ' ')}</th>" for kind in kinds]
        head += ["<th data-number>seed</th>"]
        head += [
            f"<th data-number>{text(n)}{f' <small>{text(unit)}</small>' if unit else ''}</th>"
            for n, unit, _ in names
        ]
        head += [
            "<th data-number>took <small>s</small></th>",
            "<th data-number>load</th>",
            "<th data-fixed>recipe</th>",
        ]
        lines = []
        for row in members:
            cells = [f"<td>{text(row.parts.get(kind, ''))}</td>" for kind in kinds]
            cells += [_number(row.seed, text(str(row.seed)))]
            cells += [_measure(known[row.key].get(name), best[name]) for name in names]
            cells += [
                _number(row.seconds, figure(row.seconds)),
                _number(row.load, figure(row.load)),
                _recipe(row),
            ]
            lines.append(f'<tr data-row="{number[row.key]}">{"".join(cells)}</tr>')
        blocks.append(
            f'<section data-run="{text(run)}"><h2>{text(run)}</h2><div class="scroll"><table class="sortable">'
            f"<thead><tr>{''.join(head)}</tr></thead><tbody>\n{chr(10).join(lines)}\n</tbody></table></div></section>"
        )
    return blocks


def _best(found: Sequence[Measure]) -> float | None:
    """Return the best of several values that differ."""
    values = [one.value for one in found if math.isfinite(one.value)]
    if not values or not found[0].better or min(values) == max(values):
        return None
    return min(values) if found[0].better == "less" else max(values)


def _number(value: float, shown: str, mark: str = "") -> str:
    return f'<td class="number{mark}" data-value="{text(repr(value))}">{shown}</td>'


def _measure(one: Measure | None, best: float | None) -> str:
    if one is None:
        return '<td class="number" data-value=""></td>'
    ends = span(one.low, one.high)
    shown = figure(one.value) + (f"<small>{ends}</small>" if ends else "")
    return _number(one.value, shown, " best" if one.value == best else "")


def _recipe(row: Row) -> str:
    facts = {"recipe": row.recipe, "settings": row.settings, "started": row.started, "key": row.key}
    return (
        f"<td><details><summary>show</summary><pre>{text(json.dumps(facts, indent=1))}</pre></details></td>"
    )


def videos(found: Sequence[Video], number: Mapping[str, int], left_out: int) -> str:
    """Return the videos, a block a prompt; the first is open."""
    if not found and not left_out:
        return ""
    prompts: dict[str, list[Video]] = {}
    for one in found:
        prompts.setdefault(one.name, []).append(one)
    groups: list[str] = []
    for name, members in prompts.items():
        figures = []
        for one in members:
            source = f"data:{one.mime};base64,{base64.b64encode(one.data).decode()}"
            shown = (
                f'<video src="{source}" controls loop muted playsinline></video>'
                if one.mime.startswith("video/")
                else f'<img src="{source}" alt="{text(one.words)}">'
            )
            caption = f"<figcaption>{text(one.words)}</figcaption>"
            figures.append(f'<figure data-row="{number[one.key]}">{shown}{caption}</figure>')
        state = "" if groups else " open"
        groups.append(
            f'<details class="prompt"{state}><summary>{text(name)} ({len(members)})</summary>'
            f'<div class="videos">{"".join(figures)}</div></details>'
        )
    note = (
        f'<p class="note">{left_out} more are in the file of results: this page would be too large.</p>'
        if left_out
        else ""
    )
    return f'<section id="videos"><h2>The same prompt, side by side</h2>{note}{"".join(groups)}</section>'


def refused(rows: Sequence[Row], named: Mapping[str, str], number: Mapping[str, int]) -> str:
    """Return what did not run, a block a reason."""
    groups = by_reason(rows)
    if not groups:
        return ""
    blocks = []
    for (status, reason), members in groups.items():
        lines = "".join(
            f'<tr data-row="{number[row.key]}"><td>{text(words(row))}</td><td>{text(named[row.key])}</td>'
            f"{_number(row.seed, text(str(row.seed)))}{_recipe(row)}</tr>"
            for row in members
        )
        blocks.append(
            f"<details><summary><b>{text(status)}</b>: {text(reason)} ({len(members)} rows)</summary>"
            "<div class='scroll'><table class='sortable'><thead><tr><th>combination</th><th>suite</th>"
            f"<th data-number>seed</th><th data-fixed>recipe</th></tr></thead>"
            f"<tbody>{lines}</tbody></table></div></details>"
        )
    return f'<section id="refused"><h2>What did not run, and why</h2>{"".join(blocks)}</section>'


def machines(rows: Sequence[Row]) -> str:
    """Return where rows were measured, a block a set of machine, versions and commit."""
    found = hosts(rows)
    if not found:
        return ""
    note = f'<p class="note">Measured in {len(found)} settings: compare times across them with care.</p>'
    blocks: list[str] = []
    for facts, n in found:
        lines = "".join(
            f'<tr><th scope="row">{text(k)}</th><td>{text(v)}</td></tr>' for k, v in facts.items()
        )
        blocks.append(
            f"<details{'' if blocks else ' open'}><summary>{n} rows</summary><table>{lines}</table></details>"
        )
    shown = [note, *blocks] if len(found) > 1 else blocks
    return f'<section id="hosts"><h2>Machine and versions</h2>{"".join(shown)}</section>'
