"""Configurations and contracts of Wan's parts. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Literal, Self

from vidgen.config import Config, config, require
from vidgen.contract import (
    AutoencoderContract,
    DenoiserConfig,
    DenoiserContract,
    KLAutoencoderConfig,
    LatentSpec,
    TextSpec,
)
from vidgen.layout import LayoutConfig
from vidgen.published import translate
from vidgen.recipe import Slot
from vidgen.size import Size
from vidgen_wan.fields import (
    AUTOENCODER_IGNORED,
    AUTOENCODER_NAMES,
    AUTOENCODER_ONLY,
    DEFAULTS,
    IGNORED,
    NAMES,
    ONLY,
    ORIGINAL,
    ORIGINAL_DEFAULTS,
    ORIGINAL_IGNORED,
    ORIGINAL_ONLY,
)

__all__ = [
    "MASKS",
    "ExpertsConfig",
    "WanAutoencoderConfig",
    "WanConfig",
    "WanLayoutConfig",
]

MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip
"""Mean and deviation of the published latents."""
MASKS = 4
"""Masks of a latent frame, one a frame of the video: the published time stride."""


@config
class WanAutoencoderConfig(KLAutoencoderConfig):
    """Settings of `wan-vae`.

    Attributes:
        channels: Latent channels.
        width: Channels of the encoder's finest level.
        decoder_width: Those of the decoder; None for the same.
        multiples: Channels of each level in multiples of the width, fine to coarse.
        depth: Residual blocks of a level (the decoder has one more).
        time_levels: Which of the halvings of the sides halve the frames as well, fine to coarse.
    """

    channels: int = 16
    width: int = 96
    decoder_width: int | None = None
    multiples: tuple[int, ...] = (1, 2, 4, 4)
    depth: int = 2
    time_levels: tuple[bool, ...] = (False, True, True)

    def validate(self) -> None:
        """Check the ranges."""
        for name in ("channels", "width", "depth"):
            require(getattr(self, name) >= 1, f"WanAutoencoderConfig.{name} must be at least 1.")
        require(min(self.multiples, default=0) >= 1, "WanAutoencoderConfig.multiples must be 1 or more each.")
        levels, times = len(self.multiples), len(self.time_levels)
        require(
            times == levels - 1,
            f"WanAutoencoderConfig.time_levels wants one entry less than multiples: {levels - 1}, not {times}.",
        )
        KLAutoencoderConfig.validate(self)

    def contract(self) -> AutoencoderContract:
        """Return what this autoencoder declares."""
        return AutoencoderContract(
            latent=LatentSpec(
                space=self.space,
                channels=self.channels,
                time_stride=2 ** sum(self.time_levels),
                space_stride=2 ** len(self.time_levels),
                frame_rule="causal",
                streaming="exact",
            )
        )

    @classmethod
    def from_published(cls, data: Mapping[str, Any], tensors: Collection[str]) -> Self:
        """Read the fields of diffusers' ``AutoencoderKLWan``; the original checkpoint has none and is Wan 2.1's."""
        fields = translate(dict(data), AUTOENCODER_NAMES, only=AUTOENCODER_ONLY, ignored=AUTOENCODER_IGNORED)
        mean, std = fields.pop("mean", MEAN), fields.pop("std", STD)
        return cls(**fields, latent_shift=mean, latent_scale=tuple(1 / one for one in std))

    def to_published(self) -> dict[str, Any]:
        """Return the fields of diffusers' ``AutoencoderKLWan`` that `from_published` reads back."""
        latent = self.contract().latent
        back = {ours: theirs for theirs, ours in AUTOENCODER_NAMES.items() if ours not in ("mean", "std")}
        plain = self.to_dict()
        channels = self.channels
        shift, scale = (
            list(one) * (channels if len(one) == 1 else 1) for one in (self.latent_shift, self.latent_scale)
        )
        return {
            "_class_name": "AutoencoderKLWan",
            **{theirs: plain[ours] for ours, theirs in back.items()},
            "latents_mean": shift,
            "latents_std": [1 / one for one in scale],
            "scale_factor_temporal": latent.time_stride,
            "scale_factor_spatial": latent.space_stride,
        }


@config
class WanConfig(DenoiserConfig):
    """Settings of `wan`.

    Attributes:
        heads: Attention heads.
        head_width: Width of a head.
        depth: Blocks.
        hidden: Width inside the perceptrons.
        patch: Latents (t, h, w) to a token.
        frequencies: Width of the waves that the time is told by.
        epsilon: Of the norms.
        cross_norm: Whether the text is read from normalised tokens.
        places: Most tokens along an axis.
        given: Whether frames are handed in as further channels: ``frames`` (latents and a mask a frame) or ``none``.
        image_width: Width of the tokens of an image; None where none are read.
        image_places: Tokens of the images together, where they have learned positions.
        frame_times: Whether each latent frame may have a time of its own (Wan 2.2, 5B).
    """

    heads: int = 12
    head_width: int = 128
    depth: int = 30
    hidden: int = 8960
    patch: tuple[int, int, int] = (1, 2, 2)
    frequencies: int = 256
    epsilon: float = 1e-6
    cross_norm: bool = True
    places: int = 1024
    given: Literal["none", "frames"] = "none"
    image_width: int | None = None
    image_places: int | None = None
    frame_times: bool = False

    def validate(self) -> None:
        """Check the ranges."""
        for name in ("heads", "head_width", "depth", "hidden", "frequencies", "places"):
            require(getattr(self, name) >= 1, f"WanConfig.{name} must be at least 1.")
        require(min(self.patch) >= 1, "WanConfig.patch must be 1 or more along each axis.")
        require(
            self.head_width % 2 == 0 and self.head_width >= 6,
            f"WanConfig.head_width must be even and at least 6, not {self.head_width} (three axes turn pairs).",
        )
        require(self.frequencies % 2 == 0, "WanConfig.frequencies must be even.")
        require(
            self.image_width is not None or self.image_places is None,
            "WanConfig.image_places belongs to image_width.",
        )

    def contract(self) -> DenoiserContract:
        """Return what this denoiser declares."""
        able = {
            "given_frames": self.given == "frames",
            "image_tokens": self.image_width is not None,
            "per_frame_time": self.frame_times,
        }
        declared = self.base_contract(
            patch=self.patch,
            max_latent=Size(*(self.places * p for p in self.patch)),
            time_stride=MASKS if self.given == "frames" else None,
            abilities=frozenset(name for name, true in able.items() if true),
        )
        return replace(declared, text=replace(declared.text, image_width=self.image_width or 0))

    @classmethod
    def from_published(cls, data: Mapping[str, Any], tensors: Collection[str]) -> Self:
        """Read the fields of diffusers' ``WanTransformer3DModel``, or of the original ``WanModel``."""
        require(bool(data), "Wan's sizes stand in config.json; put it beside the weights.")
        if "dim" in data:
            fields = translate(
                {**ORIGINAL_DEFAULTS, **data}, ORIGINAL, only=ORIGINAL_ONLY, ignored=ORIGINAL_IGNORED
            )
            kind = fields.pop("model_type")
            fields["head_width"] = fields.pop("width") // fields["heads"]
            tokens = kind in ("i2v", "flf2v") and any("img_emb" in name for name in tensors)
            image = 1280 if tokens else None
            fields |= {"image_width": image, "image_places": 514 if kind == "flf2v" else None}
        else:
            fields = translate({**DEFAULTS, **data}, NAMES, only=ONLY, ignored=IGNORED)
            added = fields.pop("added_kv_proj_dim")
            width = fields["heads"] * fields["head_width"]
            require(added in (None, width), f"Wan: added_kv_proj_dim must be the width {width}, not {added}.")
            require(
                (added is None) == (fields["image_width"] is None),
                "Wan: image_dim and added_kv_proj_dim belong together.",
            )
        inputs, outputs = fields.pop("inputs"), fields.pop("outputs")
        channels = inputs if outputs is None else outputs
        known: dict[int, Any] = {channels: "none", 2 * channels + MASKS: "frames"}
        require(
            inputs in known,
            f"Wan: {inputs} input channels for {channels} latent channels are not implemented; "
            f"{channels}, or {2 * channels + MASKS} with given frames.",
        )
        return cls(**fields, latent_channels=channels, given=known[inputs], text_padding="zeros")

    def to_published(self) -> dict[str, Any]:
        """Return the fields of diffusers' ``WanTransformer3DModel`` that `from_published` reads back."""
        plain, channels = self.to_dict(), self.latent_channels or 0
        special = {"inputs", "outputs"}
        width = self.heads * self.head_width
        return {
            "_class_name": "WanTransformer3DModel",
            **{
                theirs: plain[ours] for theirs, ours in NAMES.items() if ours in plain and ours not in special
            },
            "in_channels": channels if self.given == "none" else 2 * channels + MASKS,
            "out_channels": channels,
            "qk_norm": "rms_norm_across_heads",
            "added_kv_proj_dim": None if self.image_width is None else width,
        }


@config
class ExpertsConfig(DenoiserConfig):
    """Settings of `experts`: a denoiser that is two. Fields of both, such as the process, may be set here for both.

    Attributes:
        high: The one for noisy latents: a name, or a table with name, preset, weights or config.
        low: The one for clean latents, with the same contract.
        boundary: The time from which on `high` is asked, in (0, 1); Wan 2.2 has 0.875 from text, 0.9 from an image.
    """

    high: Any = "wan/tiny"
    low: Any = "wan/tiny"
    boundary: float = 0.875

    def validate(self) -> None:
        """Check the range and the forms; the names are looked up when the contract is asked for."""
        require(
            0 < self.boundary < 1, f"ExpertsConfig.boundary must lie between 0 and 1, not {self.boundary}."
        )
        for name in ("high", "low"):
            value = getattr(self, name)
            if isinstance(value, (Config, Slot)):
                object.__setattr__(self, name, Slot.read("denoiser", value).to_dict())
            else:
                require(
                    isinstance(value, (str, Mapping)),
                    f"ExpertsConfig.{name} is a name, a table or a configuration, not {value!r}.",
                )

    @property
    def pretrained(self) -> bool:
        """Whether both come with weights."""
        return all(Slot.read("denoiser", table).trained for table in (self.high, self.low))

    def slot(self, name: Literal["high", "low"]) -> Slot:
        """Return one of the two, told of its neighbours what the pair has been told."""
        slot, plain = Slot.read("denoiser", getattr(self, name)), DenoiserConfig()
        told = {field: getattr(self, field) for field in SHARED}
        told = {field: value for field, value in told.items() if value != getattr(plain, field)}
        return replace(
            slot, config=slot.config.replace(**told), told={**slot.told, **told} if slot.weights else {}
        )

    def follow(self, latent: LatentSpec | None = None, text: TextSpec | None = None) -> Self:
        """Let both fill what follows from the neighbours."""
        known: dict[str, Any] = {"latent": latent, "text": text}
        known = {name: one for name, one in known.items() if one is not None}
        made = self._changed(lambda settings: settings.follow(**known))
        declared = made.contract()
        return made.replace(latent_channels=declared.latent_channels, text_width=declared.text.width)

    def forget(self) -> Self:
        """Return the configuration with all open again that `follow` fills."""
        return super().forget()._changed(lambda settings: settings.forget())

    def _changed(self, change: Callable[[DenoiserConfig], DenoiserConfig]) -> Self:
        changes = {}
        for name in ("high", "low"):
            slot = Slot.read("denoiser", getattr(self, name))
            if slot.weights is None and isinstance(slot.config, DenoiserConfig):
                changes[name] = Slot(slot.spec, change(slot.config)).to_dict()
        return self.replace(**changes)

    def contract(self) -> DenoiserContract:
        """Return what both declare.

        Raises:
            ConfigError: When they differ.
        """
        high, low = self.slot("high").contract(), self.slot("low").contract()
        require(high == low, "experts: the two denoisers must declare the same; choose presets of one size.")
        declared: DenoiserContract = high
        return declared


SHARED = tuple(name for name in DenoiserConfig().to_dict())
"""What the pair knows of its neighbours and hands to both."""


@config
class WanLayoutConfig(LayoutConfig):
    """The classes of pipelines that are read."""

    classes: tuple[str, ...] = ("WanPipeline", "WanImageToVideoPipeline")
