"""Time 80 combinations of tiny parts: what `vidgen bench` costs beyond the work that it measures.

Run: ``python -m benchmarks.overhead`` (minutes on two cores). Targets: the whole within 12 minutes, at most 1.5 s a row
beyond the seconds for which rows had their turn.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.record import save, table
from vidgen.bench.plan import Plan
from vidgen.bench.run import run_plan

MOST_SECONDS, MOST_BEYOND = 720, 1.5


def main() -> int:
    """Print and save the table; the exit code is 1 when a target is missed."""
    plan = Plan(
        autoencoder=("sora-vae/tiny", "wf-vae/tiny", "causal-vae/tiny", "kl-vae/tiny"),
        denoiser=("sora-dit/tiny", "latte/tiny", "opensora-plan/tiny", "videocrafter2/tiny"),
        text_encoder=("words/tiny",),
        scheduler=("euler", "heun", "dpmpp-2m", "unipc", "ancestral"),
        sampling=Plan().sampling.replace(frames=9, height=32, width=32, steps=4),
        suites=("speed",),
    )
    with tempfile.TemporaryDirectory() as folder:
        found = run_plan(plan, Path(folder) / "overhead.db")
    rows = found.made.total()
    beyond = (found.seconds - found.measured) / rows
    good = found.made == {"ok": 80} and found.seconds <= MOST_SECONDS and beyond <= MOST_BEYOND
    head = ["rows", "ok", "all together, s", "measured, s", "beyond it, s a row"]
    row = [rows, found.made["ok"], f"{found.seconds:.1f}", f"{found.measured:.1f}", f"{beyond:.2f}"]
    about = (__doc__ or "").partition("\n\n")[2]
    save("overhead", "What a row costs beyond its measuring", f"{about}\n{table(head, [row])}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
