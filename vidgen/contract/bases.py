"""Bases of the parts' configurations, which know what the parts declare. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from vidgen.config import Config, config, require
from vidgen.contract.declared import (
    AutoencoderContract,
    DenoiserContract,
    LatentSpec,
    SchedulerContract,
    TextEncoderContract,
    TextSpec,
)
from vidgen.process import Prediction, ProcessSpec

__all__ = [
    "AutoencoderConfig",
    "DenoiserConfig",
    "KLAutoencoderConfig",
    "NormalisedAutoencoderConfig",
    "SchedulerConfig",
    "TextEncoderConfig",
    "default_config",
]


@config
class AutoencoderConfig(Config):
    """Base of autoencoder configurations; `space` names the latent space once trained (empty: random weights)."""

    space: str = ""

    def contract(self) -> AutoencoderContract:
        """Return what this autoencoder declares."""
        raise NotImplementedError(f"{type(self).__name__} must define contract().")


@config
class NormalisedAutoencoderConfig(AutoencoderConfig):
    """Base of configurations that hold the affine of the latents: ``(raw - latent_shift) * latent_scale``.

    Attributes:
        latent_shift: One value, or one a channel.
        latent_scale: One value, or one a channel.
    """

    latent_shift: tuple[float, ...] = (0.0,)
    latent_scale: tuple[float, ...] = (1.0,)

    def validate(self) -> None:
        """Check the normalisation against the channels."""
        name, channels = type(self).__name__, self.contract().latent.channels
        for affine in ("latent_shift", "latent_scale"):
            count = len(getattr(self, affine))
            require(count in (1, channels), f"{name}.{affine} needs 1 or {channels} values, not {count}.")
        require(all(value > 0 for value in self.latent_scale), f"{name}.latent_scale must be positive.")


@config
class KLAutoencoderConfig(NormalisedAutoencoderConfig):
    """Base of configurations of autoencoders with a Gaussian posterior.

    Attributes:
        kl_weight: Weight of the KL term in training.
    """

    kl_weight: float = 1e-6

    def validate(self) -> None:
        """Check the ranges."""
        require(
            self.kl_weight >= 0, f"{type(self).__name__}.kl_weight must be 0 or more, not {self.kl_weight}."
        )
        NormalisedAutoencoderConfig.validate(self)


STANDALONE_LATENT = LatentSpec(space="", channels=16, time_stride=4, space_stride=8)
STANDALONE_TEXT = TextSpec(space="", width=64, pooled_width=0)


@config
class DenoiserConfig(Config):
    """Base of denoiser configurations: what it can take from its neighbours, and what it was trained on.

    Attributes:
        latent_channels: Channels of the latents; None follows the autoencoder.
        latent_space: Space trained on; None while untrained.
        text_width: Width of the text tokens; None follows the text encoder.
        text_space: Text space trained on; None while untrained.
        text_padding: Padding rule trained on.
        process: The process.
        prediction: What the output means.

    A field that `FOLLOWS` names takes a field of the autoencoder's `LatentSpec` while it is None.
    """

    FOLLOWS: ClassVar[Mapping[str, str]] = {"latent_channels": "channels"}

    latent_channels: int | None = None
    latent_space: str | None = None
    text_width: int | None = None
    text_space: str | None = None
    text_padding: Literal["masked", "zeros", "attended"] = "masked"
    process: ProcessSpec = ProcessSpec()
    prediction: Prediction = "flow"

    def contract(self) -> DenoiserContract:
        """Return what this denoiser declares; override to declare patch, limits and abilities."""
        return self.base_contract()

    def base_contract(self, **declared: Any) -> DenoiserContract:
        """Return the contract of the common fields, with `declared` fields of `DenoiserContract` added."""
        text = TextSpec(space=self.text_space, width=self.text_width, padding=self.text_padding)
        return DenoiserContract(
            latent_space=self.latent_space,
            latent_channels=self.latent_channels,
            text=declared.pop("text", text),
            process=self.process,
            prediction=self.prediction,
            **declared,
        )

    def follow(self, latent: LatentSpec = STANDALONE_LATENT, text: TextSpec = STANDALONE_TEXT) -> Self:
        """Fill what follows from the neighbours (or from stand-alone defaults: 16 channels, 64 wide text)."""
        found = {name: getattr(latent, source) for name, source in self.FOLLOWS.items()}
        found["text_width"] = text.width
        changes = {name: value for name, value in found.items() if getattr(self, name) is None}
        return self.replace(**changes) if changes else self

    def forget(self) -> Self:
        """Return the configuration with all open again that `follow` fills, for other neighbours."""
        return self.replace(text_width=None, **dict.fromkeys(self.FOLLOWS))


@config
class TextEncoderConfig(Config):
    """Base of text-encoder configurations; `space` names the text space once trained (empty: random weights)."""

    space: str = ""

    def contract(self) -> TextEncoderContract:
        """Return what this text encoder declares."""
        raise NotImplementedError(f"{type(self).__name__} must define contract().")


@config
class SchedulerConfig(Config):
    """Base of scheduler configurations."""

    def contract(self) -> SchedulerContract:
        """Return what this scheduler declares; first order, one evaluation a step unless overridden."""
        return SchedulerContract(order=1)


_BASES: dict[str, type[Config]] = {
    "autoencoder": AutoencoderConfig,
    "denoiser": DenoiserConfig,
    "scheduler": SchedulerConfig,
    "text_encoder": TextEncoderConfig,
}


def default_config(kind: str) -> type[Config]:
    """Return the base configuration class of a kind."""
    return _BASES.get(kind, Config)
