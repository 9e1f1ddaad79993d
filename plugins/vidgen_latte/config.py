"""What Latte can be set to, and what it declares. No torch here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, Self

from vidgen.config import config, require
from vidgen.contract import DenoiserConfig, DenoiserContract
from vidgen.process import ProcessSpec
from vidgen.published import translate

__all__ = ["LatteConfig"]

LINEAR = ProcessSpec(family="vp-linear", steps=1000, beta_start=1e-4, beta_end=0.02)

PLAN_FIELDS = ("attention_mode", "compress_kv_factor", "model_max_length", "patch_size_t", "use_rope")
"""Fields that Open-Sora Plan's LatteT2V has and Latte's own has not."""


@config
class LatteConfig(DenoiserConfig):
    """Settings of Latte.

    Attributes:
        heads: Attention heads.
        head_width: Channels of a head; heads x head_width must be a multiple of 4 (sines and cosines of two axes).
        depth: Pairs of blocks, one over each frame and one along time.
        patch: Latent rows and columns to a token; frames are not joined.
        side: Latent rows (and columns) trained on; positions of other sizes are stretched over the same range.
        interpolation: Factors (time, space) that positions are divided by.
        image_position: Whether an image gets the first frame's position in time, as in Open-Sora Plan, or none.
        learned_sigma: Whether as many channels again are predicted, which place the variance of a DDPM step between
            its two bounds.
    """

    heads: int = 16
    head_width: int = 72
    depth: int = 28
    patch: int = 2
    side: int = 64
    interpolation: tuple[float, float] = (1.0, 1.0)
    image_position: bool = False
    learned_sigma: bool = True
    process: ProcessSpec = LINEAR
    prediction: Literal["epsilon", "sample", "v", "flow"] = "epsilon"

    def validate(self) -> None:
        """Check the ranges."""
        for field in ("heads", "head_width", "depth", "patch"):
            require(getattr(self, field) >= 1, f"LatteConfig.{field} must be at least 1.")
        width = self.heads * self.head_width
        require(
            width % 4 == 0, f"LatteConfig.heads x head_width must be a multiple of 4, not {width} (two axes)."
        )
        require(self.side >= self.patch, f"LatteConfig.side must be at least the patch, {self.patch}.")
        require(min(self.interpolation) > 0, "LatteConfig.interpolation must be positive.")

    def contract(self) -> DenoiserContract:
        """Return what this denoiser declares."""
        return self.base_contract(patch=(1, self.patch, self.patch))

    @classmethod
    def from_published(cls, data: Mapping[str, Any], tensors: Collection[str]) -> Self:
        """Read the fields of diffusers' ``LatteTransformer3DModel``, or of Open-Sora Plan's ``LatteT2V``."""
        require(bool(data), "Latte's sizes stand in config.json; put it beside the weights.")
        fields = translate({**DEFAULTS, **data}, NAMES, only=ONLY, ignored=IGNORED)
        plan = any(name in data for name in PLAN_FIELDS) or isinstance(data.get("sample_size"), list)
        width, channels = fields["heads"] * fields["head_width"], fields["latent_channels"]
        context = fields.pop("cross_attention_dim")
        require(
            context == width, f"Latte: cross_attention_dim must be the width {width} here, not {context}."
        )
        outputs = fields.pop("out_channels") or channels
        require(
            outputs in (channels, 2 * channels),
            f"Latte: out_channels must be in_channels ({channels}) or twice as many, not {outputs}.",
        )
        if isinstance(fields["side"], tuple):
            require(
                len(set(fields["side"])) == 1, f"Latte: sample_size must be a square, not {fields['side']}."
            )
            fields["side"] = fields["side"][0]
        frames = fields.pop("video_length")
        # diffusers stretches space alone; Open-Sora Plan stretches time as well, by whole factors
        stretched = (frames - frames % 2) // 16 if plan else 1
        interpolation = (float(max(stretched, 1)), float(max(fields["side"] // 64, 1)))
        return cls(
            **fields, interpolation=interpolation, image_position=plan, learned_sigma=outputs == 2 * channels
        )


NAMES = {
    "num_attention_heads": "heads",
    "attention_head_dim": "head_width",
    "num_layers": "depth",
    "patch_size": "patch",
    "sample_size": "side",
    "in_channels": "latent_channels",
    "caption_channels": "text_width",
    "out_channels": "out_channels",
    "cross_attention_dim": "cross_attention_dim",
    "video_length": "video_length",
}
ONLY = {
    "activation_fn": "gelu-approximate",
    "attention_bias": True,
    "norm_type": "ada_norm_single",
    "norm_elementwise_affine": False,
    "norm_eps": 1e-6,
    "attention_type": "default",
    "compress_kv_factor": 1,
    "double_self_attention": False,
    "num_vector_embeds": None,
    "only_cross_attention": False,
    "patch_size_t": 1,
    "upcast_attention": False,
    "use_linear_projection": False,
    "use_rope": False,
}
IGNORED = (
    "attention_mode",
    "dropout",
    "model_max_length",
    "norm_num_groups",
    "num_embeds_ada_norm",
    "rope_scaling_type",
)
DEFAULTS = {
    "num_attention_heads": 16,
    "attention_head_dim": 88,
    "out_channels": None,
    "num_layers": 1,
    "cross_attention_dim": None,
    "attention_bias": False,
    "sample_size": 64,
    "activation_fn": "geglu",
    "norm_type": "layer_norm",
    "norm_elementwise_affine": True,
    "norm_eps": 1e-5,
    "video_length": 16,
}
"""What the published classes take for a field that ``config.json`` leaves out."""
