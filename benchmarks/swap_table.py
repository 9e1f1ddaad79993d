"""The swap table: parts of diffusers, one at a time, in one recipe around Wan's, beside the same swap in diffusers.

    python -m benchmarks.swap_table [--native] [--only autoencoder|denoiser|scheduler]

Ten autoencoders of 16 latent channels, seven foreign denoisers and 24 schedulers take the place of Wan's own, all tiny
and with random weights, whose spaces are named as those of the published ones. A row is *native* (same spaces and
process: it runs as trained), *must be trained* (it runs, but the spaces differ) or *refused* before any work, with the
reason. What is said to run is run: two steps, every value finite, the video of the asked size. diffusers' own result
is that of its WanPipeline with the same part in place. Needs diffusers and transformers.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import torch

import vidgen
from benchmarks.record import save, table
from vidgen.errors import VidgenError
from vidgen.size import Size

WAN, UMT5 = "wan-2.1", "umt5-xxl/last"
AUTOENCODERS = {
    "tiny": WAN, "tiny-hunyuan-video": "hunyuan-video", "tiny-cogvideox": "cogvideox", "tiny-ltx": "ltx-video",
    "tiny-mochi": "mochi-1", "tiny-allegro": "allegro", "tiny-easyanimate": "easyanimate-5.1",
    "tiny-cosmos": "cosmos-1.0", "tiny-svd": "svd", "tiny-sd": "sd-1",
}  # fmt: skip
"""Presets and the latent space that the published weights of each have."""
DENOISERS = {
    "tiny-cogvideox": ("cogvideox", "t5-v1.1-xxl/last"), "tiny-ltx": ("ltx-video", "t5-v1.1-xxl/last"),
    "tiny-hunyuan": ("hunyuan-video", "llava-llama-3/-3"), "tiny-mochi": ("mochi-1", "t5-v1.1-xxl/last"),
    "tiny-allegro": ("allegro", "t5-v1.1-xxl/last"), "tiny-sana-video": (WAN, "gemma-2-2b/last"),
    "tiny-skyreels-v2": (WAN, UMT5),
}  # fmt: skip
"""Presets, and the latent and text spaces that the published weights of each were trained on."""
_FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
SCHEDULERS: dict[str, dict[str, Any]] = {
    "FlowMatchEulerDiscreteScheduler": {}, "FlowMatchHeunDiscreteScheduler": {}, "FlowMatchLCMScheduler": {},
    "FlowMapEulerDiscreteScheduler": {}, "LTXEulerAncestralRFScheduler": {}, "UniPCMultistepScheduler": _FLOW,
    "DPMSolverMultistepScheduler": _FLOW, "DPMSolverSinglestepScheduler": _FLOW, "DEISMultistepScheduler": _FLOW,
    "SASolverScheduler": _FLOW, "MiniMaxH3Scheduler": {}, "EulerDiscreteScheduler": {},
    "EulerAncestralDiscreteScheduler": {}, "HeunDiscreteScheduler": {}, "EDMEulerScheduler": {},
    "DDIMScheduler": {}, "DDPMScheduler": {}, "CogVideoXDDIMScheduler": {}, "CogVideoXDPMScheduler": {},
    "LCMScheduler": {}, "SCMScheduler": {}, "PNDMScheduler": {"skip_prk_steps": True}, "HeliosScheduler": {},
    "PiflowScheduler": {},
}  # fmt: skip
"""Classes and their settings: flow wherever a class can be set to it."""
STEPS = 2


def preset(kind: str, name: str, **changes: Any) -> Any:
    """Return a configuration of diffusers' parts."""
    return vidgen.find(kind, "diffusers").presets[name].replace(**changes)


def host(native: bool) -> dict[str, Any]:
    """Return the recipe that parts are swapped in: Wan's, as trained, by our own parts or diffusers'."""
    if native:
        autoencoder = vidgen.find("autoencoder", "wan-vae").presets["tiny"].replace(space=WAN)
        denoiser: Any = vidgen.find("denoiser", "wan").presets["tiny"]
        denoiser = denoiser.replace(latent_space=WAN, text_space=UMT5)
    else:
        autoencoder, denoiser = preset("autoencoder", "tiny", space=WAN), trained("tiny-wan", WAN, UMT5)
    return {
        "autoencoder": autoencoder,
        "denoiser": denoiser,
        "text_encoder": vidgen.find("text_encoder", "t5").presets["tiny"].replace(space=UMT5),
        "scheduler": "unipc",
    }


def trained(name: str, latent: str | None, text: str | None) -> Any:
    """Return a denoiser that was trained on two spaces; None for one to be trained."""
    return preset("denoiser", name, latent_space=latent, text_space=text)


def ours(parts: dict[str, Any], kind: str) -> tuple[str, str]:
    """Return what becomes of a recipe whose part of a kind was swapped, and why; what is said to run has run."""
    try:
        run(vidgen.compose(**parts))
        return "native", ""
    except VidgenError as problem:
        reasons = str(problem)
    if kind != "scheduler":
        try:
            run(
                vidgen.compose(
                    **parts | {"denoiser": parts["denoiser"].replace(latent_space=None, text_space=None)}
                )
            )
            return "must be trained", "other " + ", other ".join(re.findall(r"differ in ([^:]+):", reasons))
        except VidgenError as problem:
            reasons = str(problem)
    return "refused", reasons


def run(pipe: Any) -> None:
    """Sample and hold the result to its size and to finite values.

    Raises:
        AssertionError: When it is not what was asked for.
    """
    size, seen = pipe.autoencoder.latent.pixel_size(Size(3, 4, 4)), []
    frames, height, width = size
    made = pipe(
        "a red circle", frames=frames, height=height, width=width, steps=STEPS, seed=0,
        on_step=lambda index, x: seen.append(x),
    )  # fmt: skip
    assert made.numpy().shape == (*size, 3)
    assert len(seen) == STEPS
    assert all(x.isfinite().all() for x in seen)


class Peer:
    """diffusers' WanPipeline of the same tiny parts."""

    def __init__(self) -> None:
        import diffusers
        from transformers import ByT5Tokenizer, UMT5Config, UMT5EncoderModel

        torch.manual_seed(0)
        sizes = UMT5Config(
            vocab_size=384,
            d_model=64,
            d_kv=16,
            d_ff=64,
            num_layers=1,
            num_heads=2,
            relative_attention_num_buckets=8,
        )
        self.library = diffusers
        self.parts = {
            "vae": vidgen.create("autoencoder", "diffusers/tiny").model,
            "transformer": vidgen.create("denoiser", "diffusers/tiny-wan").model,
            "scheduler": diffusers.UniPCMultistepScheduler(**_FLOW, flow_shift=3.0),
            "text_encoder": UMT5EncoderModel(sizes).eval(),
            "tokenizer": ByT5Tokenizer(),
        }

    def tries(self, swapped: Mapping[str, Any]) -> str:
        """Return what becomes of the pipeline: ``runs``, or the error."""
        try:
            pipe = self.library.WanPipeline(**{**self.parts, **swapped})
            pipe.set_progress_bar_config(disable=True)
            made = pipe(
                "a red circle", height=32, width=32, num_frames=9, num_inference_steps=4, guidance_scale=1.0,
                max_sequence_length=16, output_type="np", generator=torch.Generator().manual_seed(0),
            ).frames  # fmt: skip
        except Exception as problem:
            return f"{type(problem).__name__}: {(str(problem).strip() or 'no message').splitlines()[0][:90]}"
        return "runs" if made.shape == (1, 9, 32, 32, 3) else f"runs, but gives {made.shape[1:4]} for 9x32x32"


def scheduler_rows(peer: Peer, parts: dict[str, Any]) -> list[list[str]]:
    config = vidgen.find("scheduler", "diffusers").config
    rows = []
    for name, options in SCHEDULERS.items():
        theirs = peer.tries({"scheduler": getattr(peer.library, name)(**options)})
        try:
            status, reason = ours(
                {**parts, "scheduler": config.from_published({"_class_name": name, **options})}, "scheduler"
            )  # type: ignore[attr-defined]
        except VidgenError as problem:
            status, reason = "refused", str(problem).partition(" Supported:")[0]
        if theirs == "runs" and status == "refused":
            theirs = "runs silently" + (
                ", on another process than the model's" if "differ in process" in reason else ""
            )
        rows.append(["scheduler", name, status, reason, theirs])
    return rows


def rows_of(kind: str, peer: Peer, parts: dict[str, Any]) -> list[list[str]]:
    """Return a row a part of a kind."""
    if kind == "scheduler":
        return scheduler_rows(peer, parts)
    slot = {"autoencoder": "vae", "denoiser": "transformer"}[kind]
    rows = []
    for name in AUTOENCODERS if kind == "autoencoder" else DENOISERS:
        part = (
            preset(kind, name, space=AUTOENCODERS[name])
            if kind == "autoencoder"
            else trained(name, *DENOISERS[name])
        )
        status, reason = ours({**parts, kind: part}, kind)
        torch.manual_seed(0)
        rows.append(
            [
                kind,
                part.model,
                status,
                reason,
                peer.tries({slot: vidgen.create(kind, "diffusers", config=part).model}),
            ]
        )
    return rows


def summary(rows: Sequence[Sequence[str]]) -> str:
    """Return how many of each kind became what, here and there."""
    lines = []
    for kind in dict.fromkeys(row[0] for row in rows):
        mine = [row for row in rows if row[0] == kind]
        counts = Counter(row[2] for row in mine)
        wrong = sum(row[4].startswith("runs silently") for row in mine)
        there = sum(row[4].startswith("runs") for row in mine)
        here = ", ".join(f"{counts[status]} {status}" for status in ("native", "must be trained", "refused"))
        other = sum("another process" in row[4] for row in mine)
        silently = (
            f", {wrong} of them silently where it is refused here, {other} on another process"
            if wrong
            else ""
        )
        lines.append(f"- {len(mine)} {kind}s: {here}; in diffusers {there} run{silently}.\n")
    return "".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["autoencoder", "denoiser", "scheduler"])
    parser.add_argument("--native", action="store_true", help="around our own wan-vae and wan")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    peer = Peer()
    assert peer.tries({}) == "runs", peer.tries({})
    kinds = [args.only] if args.only else ["autoencoder", "denoiser", "scheduler"]
    rows = [row for kind in kinds for row in rows_of(kind, peer, host(args.native))]
    head = ["swapped", "part", "here", "why", f"diffusers {version('diffusers')}, WanPipeline"]
    name = "swap-table" + ("-native" if args.native else "") + (f"-{args.only}" if args.only else "")
    save(name, "Parts of diffusers swapped into one recipe", summary(rows) + "\n" + table(head, rows), rows)


if __name__ == "__main__":
    main()
