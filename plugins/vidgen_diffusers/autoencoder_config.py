"""What an autoencoder of diffusers can be set to, and what it declares. No torch here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, Self

from vidgen.config import config, require
from vidgen.contract import AutoencoderContract, KLAutoencoderConfig, LatentSpec
from vidgen.errors import ConfigError, closest
from vidgen_diffusers.autoencoder_models import AUTOENCODERS, PUBLISHED, REFUSED, Autoencoder
from vidgen_diffusers.library import class_name
from vidgen_diffusers.options import Options

__all__ = ["DiffusersAutoencoderConfig"]


@config
class DiffusersAutoencoderConfig(KLAutoencoderConfig):
    """Settings of an autoencoder of diffusers.

    Attributes:
        model: The class.
        options: Its arguments as its ``config.json`` has them; for those left out its defaults hold.
        latent_shift: In place of what the class publishes; empty for that.
        latent_scale: Likewise.
        decode_timestep: Where noise is left in latents that are decoded, the time told to decoders that take one (LTX).
        decode_noise_scale: How much noise is put to latents before such a decoder; None for `decode_timestep`.
    """

    model: Literal[
        "AutoencoderDC",
        "AutoencoderKL",
        "AutoencoderKLAllegro",
        "AutoencoderKLCogVideoX",
        "AutoencoderKLCosmos",
        "AutoencoderKLHunyuanVideo",
        "AutoencoderKLHunyuanVideo15",
        "AutoencoderKLLTX2Video",
        "AutoencoderKLLTXVideo",
        "AutoencoderKLMagvit",
        "AutoencoderKLMochi",
        "AutoencoderKLQwenImage",
        "AutoencoderKLTemporalDecoder",
        "AutoencoderKLWan",
    ] = "AutoencoderKLWan"
    options: Any = Options()
    latent_shift: tuple[float, ...] = ()
    latent_scale: tuple[float, ...] = ()
    decode_timestep: float = 0.0
    decode_noise_scale: float | None = None

    def validate(self) -> None:
        """Check the options against the class, and the ranges."""
        name = type(self).__name__
        require(
            isinstance(self.options, Mapping),
            f"{name}.options must be a table of arguments, not {self.options!r}.",
        )
        object.__setattr__(self, "options", self._own(Options(self.options)))
        fields, colours = self.fields, self.facts.colours
        require(
            colours is None
            or fields["in_channels" if "in_channels" in fields else "input_channels"] == colours,
            f"{name}: {self.model} must take three colours (in_channels {colours}).",
        )
        for field, only in self.facts.only.items():
            require(
                fields[field] == only,
                f"{self.model}.{field} is implemented for {only!r}, not {fields[field]!r}.",
            )
        require(self.kl_weight >= 0, f"{name}.kl_weight must be 0 or more, not {self.kl_weight}.")
        channels = fields[self.facts.channels]
        for affine in ("latent_shift", "latent_scale"):
            count = len(getattr(self, affine))
            require(
                count in (0, 1, channels), f"{name}.{affine} needs none, 1 or {channels} values, not {count}."
            )
        require(all(value > 0 for value in self.latent_scale), f"{name}.latent_scale must be positive.")
        for noise in ("decode_timestep", "decode_noise_scale"):
            value = getattr(self, noise) or 0.0
            require(0 <= value <= 1, f"{name}.{noise} must lie between 0 and 1, not {value}.")
            require(
                value == 0 or bool(fields.get("timestep_conditioning")),
                f"{name}.{noise} is for decoders with the option timestep_conditioning; leave it out.",
            )

    def _own(self, options: Options) -> Options:
        """Return the options that differ from the defaults, without what is no argument (``_class_name``)."""
        defaults = self.facts.defaults
        for field in options:
            if field not in defaults and not field.startswith("_"):
                raise ConfigError(f"{self.model} has no argument {field!r}.{closest(field, defaults)}")
        # TOML has no null: an empty list is no statistics
        named = {n: [] if v is None and defaults.get(n) == PUBLISHED else v for n, v in options.items()}
        return Options({n: v for n, v in named.items() if n in defaults and v != defaults[n]})

    @property
    def facts(self) -> Autoencoder:
        """What the class is."""
        return AUTOENCODERS[self.model]

    @property
    def fields(self) -> dict[str, Any]:
        """Every argument of the class."""
        return {**self.facts.defaults, **self.options}

    def contract(self) -> AutoencoderContract:
        """Return what this autoencoder declares."""
        fields = self.fields
        time, space = self.facts.strides(fields)
        latent = LatentSpec(
            space=self.space,
            channels=fields[self.facts.channels],
            time_stride=time,
            space_stride=space,
            frame_rule=self.facts.frame_rule,
            streaming="exact" if self.facts.streams else "none",
        )
        return AutoencoderContract(latent=latent)

    @classmethod
    def from_published(cls, data: Mapping[str, Any], tensors: Collection[str]) -> Self:
        """Read a ``config.json`` of diffusers by the class that it names.

        Raises:
            ConfigError: For a class that is not supported, with those that are, and for an unknown argument.
        """
        name = class_name(data, "autoencoder", AUTOENCODERS, REFUSED)
        return cls(model=name, options=data)
