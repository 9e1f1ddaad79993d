"""The tensor names of Wan's own repository, in terms of those that diffusers gave them (which are ours)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from vidgen_wan.config import WanAutoencoderConfig

__all__ = ["autoencoder_names", "denoiser_names"]

BLOCK = {
    "residual.0.gamma": "norm1.gamma",
    "residual.2": "conv1",
    "residual.3.gamma": "norm2.gamma",
    "residual.6": "conv2",
    "shortcut": "conv_shortcut",
}
"""Inside a residual block."""


def autoencoder_names(names: Collection[str], config: WanAutoencoderConfig) -> Mapping[str, str]:
    """Return our name of each of the original autoencoder's names."""
    levels = len(config.multiples)
    steps: list[str] = []
    for level in range(levels):
        steps += [f"up_blocks.{level}.resnets.{block}" for block in range(config.depth + 1)]
        if level < levels - 1:
            steps.append(f"up_blocks.{level}.upsamplers.0")
    middle = {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"}
    made = {}
    for name in names:
        side, _, rest = name.partition(".")
        if side in ("conv1", "conv2"):
            made[name] = f"{'quant_conv' if side == 'conv1' else 'post_quant_conv'}.{rest}"
        if side not in ("encoder", "decoder"):
            continue
        group, _, rest = rest.partition(".")
        number, _, inner = rest.partition(".")
        for theirs, ours in BLOCK.items():
            inner = re.sub(rf"^{re.escape(theirs)}(?=\.|$)", ours, inner)
        if group == "conv1":
            made[name] = f"{side}.conv_in.{rest}"
        elif group == "head":
            made[name] = f"{side}.{'norm_out' if number == '0' else 'conv_out'}.{inner}"
        elif group == "middle":
            made[name] = f"{side}.mid_block.{middle[number]}.{inner}"
        elif group == "downsamples":
            made[name] = f"encoder.down_blocks.{number}.{inner}"
        elif group == "upsamples" and int(number) < len(steps):
            made[name] = f"decoder.{steps[int(number)]}.{inner}"
    return made


ATTENTION = {
    "q": "to_q",
    "k": "to_k",
    "v": "to_v",
    "o": "to_out.0",
    "k_img": "add_k_proj",
    "v_img": "add_v_proj",
}
DENOISER = (
    (r"text_embedding\.0", "condition_embedder.text_embedder.linear_1"),
    (r"text_embedding\.2", "condition_embedder.text_embedder.linear_2"),
    (r"time_embedding\.0", "condition_embedder.time_embedder.linear_1"),
    (r"time_embedding\.2", "condition_embedder.time_embedder.linear_2"),
    (r"time_projection\.1", "condition_embedder.time_proj"),
    (r"img_emb\.proj\.0", "condition_embedder.image_embedder.norm1"),
    (r"img_emb\.proj\.1", "condition_embedder.image_embedder.ff.net.0.proj"),
    (r"img_emb\.proj\.3", "condition_embedder.image_embedder.ff.net.2"),
    (r"img_emb\.proj\.4", "condition_embedder.image_embedder.norm2"),
    (r"img_emb\.emb_pos", "condition_embedder.image_embedder.pos_embed"),
    (r"head\.modulation", "scale_shift_table"),
    (r"head\.head", "proj_out"),
)
"""Beginnings of names outside the blocks."""
INSIDE = (
    (r"ffn\.0", "ffn.net.0.proj"),
    (r"ffn\.2", "ffn.net.2"),
    (r"modulation", "scale_shift_table"),
    (r"norm3", "norm2"),
)
"""Beginnings of names inside a block; the original's third norm is our second, the one before the text."""


def denoiser_names(names: Collection[str]) -> Mapping[str, str]:
    """Return our name of each of the original transformer's names; none where they are ours already."""
    if not any(".self_attn." in name or name.startswith("time_projection.") for name in names):
        return {}
    made = {}
    for name in names:
        found = re.fullmatch(r"blocks\.(\d+)\.(.*)", name)
        if found is None:
            made[name] = _begun(name, DENOISER)
            continue
        number, inner = found.groups()
        kind, _, rest = inner.partition(".")
        if kind in ("self_attn", "cross_attn"):
            part, _, leaf = rest.partition(".")
            part = "norm_added_k" if part == "norm_k_img" else ATTENTION.get(part, part)
            inner = f"{'attn1' if kind == 'self_attn' else 'attn2'}.{part}.{leaf}"
        else:
            inner = _begun(inner, INSIDE)
        made[name] = f"blocks.{number}.{inner}"
    return made


def _begun(name: str, table: tuple[tuple[str, str], ...]) -> str:
    for theirs, ours in table:
        if re.match(rf"{theirs}(?=\.|$)", name):
            return re.sub(rf"^{theirs}", ours, name)
    return name
