"""Write the report of a file of results: Markdown, CSV and one HTML page."""

from __future__ import annotations

from pathlib import Path

from vidgen.bench.report.columns import columns, parts_of
from vidgen.bench.report.html import page
from vidgen.bench.report.markdown import markdown
from vidgen.bench.report.media import read_curves, read_videos
from vidgen.bench.report.swaps import averages
from vidgen.bench.report.table import table
from vidgen.bench.store import Store

__all__ = ["write_report"]


def write_report(
    results: str | Path, folder: str | Path, *, title: str | None = None, video_bytes: int = 20_000_000
) -> list[Path]:
    """Write ``report.md``, ``rows.csv`` and ``report.html``; files of these names are replaced.

    Args:
        results: The SQLite file.
        folder: Where to write; made if it is not there.
        title: Of the report; by default the name of the file.
        video_bytes: Embed at most so many bytes of videos, whole prompts at a time.

    Returns:
        The three files.

    Raises:
        ResultsError: When there are no results.
    """
    with Store(results, create=False) as store:
        rows = store.rows()
        videos, left_out = read_videos(store, rows, video_bytes)
        curves = read_curves(store, rows)
    # They were begun in any order.
    suites = list(dict.fromkeys(row.suite for row in rows))
    rows.sort(key=lambda row: (suites.index(row.suite), parts_of(row), row.seed))
    title = title or Path(results).stem
    figures = columns(rows)
    swapped = averages(figures)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "report.md": markdown(rows, figures, swapped, title=title),
        "rows.csv": table(rows),
        "report.html": page(
            rows, figures, swapped, videos=videos, curves=curves, left_out=left_out, title=title
        ),
    }
    for name, content in texts.items():
        new = folder / f".{name}.new"
        new.write_text(content, "utf-8")
        new.replace(folder / name)
    return [folder / name for name in texts]
