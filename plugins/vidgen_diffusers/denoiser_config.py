"""What diffusers' denoisers can be set to, and what they declare. Neither torch nor diffusers here."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, Literal, Self, cast

from vidgen.config import config, require
from vidgen.contract import DenoiserConfig, DenoiserContract, LatentSpec, TextSpec
from vidgen.errors import ConfigError, closest
from vidgen.process import ProcessSpec
from vidgen_diffusers.denoiser_models import BACKBONES, Backbone, Model, Prediction
from vidgen_diffusers.options import Options

__all__ = ["DiffusersDenoiserConfig"]


@config
class DiffusersDenoiserConfig(DenoiserConfig):
    """A denoiser of diffusers by the name of its class.

    `options` hold the arguments of the class as its ``config.json`` does. Those that say what a field of ours says
    (channels, widths of the text) are moved there, and those at their default are left out, so that equal models have
    equal configurations. What is None is what the class was published with. Another `model` forgets all other fields.

    Attributes:
        model: The class.
        options: Its arguments.
        pooled_width: Width of the pooled text, for models that read one; None follows the text encoder, and 0 takes
            the mean of the tokens instead.
        learned_sigma: Whether as many channels again are predicted, for the variance.
        given: Whether it takes given frames as extra channels.
        per_frame_time: Whether it is told a time for each latent frame, as those trained for given frames are.
        text_tokens: For models that read no text mask: texts are filled up with zeros to so many tokens.
        pixel_stride: Pixels (frames, rows, columns) to a latent position, by which LTX measures distances; None
            follows the autoencoder.
    """

    model: Model = "WanTransformer3DModel"
    options: Any = Options()
    text_padding: Literal["masked", "zeros", "attended"] = "masked"
    process: ProcessSpec | None = None  # type: ignore[assignment]  # never None once made
    prediction: Prediction | None = None  # type: ignore[assignment]
    pooled_width: int | None = None
    learned_sigma: bool = False
    given: bool = False
    per_frame_time: bool = False
    text_tokens: int | None = None
    pixel_stride: tuple[int, int, int] | None = None

    def validate(self) -> None:
        """Check the arguments, and bring them into the one form."""
        known = self.backbone
        require(isinstance(self.options, Mapping), f"{self.model}: options must be a table of arguments.")
        options = {name: None if value == [] else value for name, value in Options(self.options).items()}
        own = (*known.defaults, "in_channels", "out_channels", known.text, *(known.pooled or ())[:1])
        for name, value in options.items():
            if name not in own:
                raise ConfigError(f"{self.model} of diffusers has no argument {name!r}.{closest(name, own)}")
            allowed = known.only.get(name, value)
            allowed = allowed if isinstance(allowed, tuple) else (allowed,)
            require(value in allowed, f"{self.model}: {name} is implemented for "
                    f"{' or '.join(map(repr, allowed))}, not {value!r}.")  # fmt: skip
        self._set("options", Options(options))
        self._take_channels(options)
        self._take(options, "text_width", known.text)
        if known.pooled:
            self._take(options, "pooled_width", known.pooled[0])
        if self.process is None:
            self._set("process", known.process)
        if self.prediction is None:
            self._set("prediction", known.prediction)
        fill = self.option(known.fill) if isinstance(known.fill, str) else known.fill
        if self.text_tokens is None:
            self._set("text_tokens", fill)
        kept = {name: value for name, value in options.items() if value != known.defaults[name]}
        self._set("options", Options(kept))
        self._check()

    def _check(self) -> None:
        known, name = self.backbone, self.model
        require(all(isinstance(n, int) and n >= 1 for n in self.patch), f"{name}: patch_size must be given.")
        require(not self.given or known.given is not None, f"{name} has no variant that takes given frames.")
        timed = known.frame_times and self.patch[0] == 1
        require(not self.per_frame_time or timed, f"{name} cannot be told a time for each frame.")
        require(
            self.pooled_width is None or known.pooled is not None,
            f"{name} reads no pooled text; leave it out.",
        )
        require(
            self.text_tokens is None or known.fill is not None, f"{name} masks its text; leave text_tokens."
        )
        if known.fill == "max_text_seq_length" and not self.option("use_rotary_positional_embeddings"):
            want = self.option("max_text_seq_length")
            require(self.text_tokens == want, f"{name}: text_tokens must be max_text_seq_length, {want}.")

    def _set(self, field: str, value: Any) -> None:
        object.__setattr__(self, field, value)

    def _take(self, options: dict[str, Any], field: str, name: str) -> None:
        """Move an argument into a field of ours."""
        value, ours = options.pop(name, None), getattr(self, field)
        if value is not None:
            require(
                ours in (None, value), f"{self.model}: {field} is {ours}, but options say {name} = {value}."
            )
            self._set(field, value)

    def _take_channels(self, options: dict[str, Any]) -> None:
        """Read the latent channels, and what is taken or predicted beside them, from the arguments."""
        taken, made = (options.pop(name, None) for name in ("in_channels", "out_channels"))
        taken, made = taken or made, made or taken
        if taken is None:
            return
        extra = self.backbone.given
        wanted = f"{self.model}: in_channels {taken!r} and out_channels {made!r} do not go together here"
        require(isinstance(taken, int) and isinstance(made, int), f"{wanted}.")
        if made == 2 * taken:
            self._set("learned_sigma", True)
        elif taken != made:
            require(extra is not None and taken == 2 * made + extra, f"{wanted}.")
            self._set("given", True)
        channels, rest = divmod(min(taken, made), self._volume)
        require(rest == 0, f"{wanted}: the patch holds {self._volume} positions.")
        ours = self.latent_channels
        require(
            ours in (None, channels),
            f"{self.model}: latent_channels is {ours}, but options say {channels}.",
        )
        self._set("latent_channels", channels)

    @property
    def backbone(self) -> Backbone:
        """What is known of the class."""
        return BACKBONES[self.model]

    @property
    def patch(self) -> tuple[int, int, int]:
        """Latent positions (t, h, w) to a token."""
        size = self.option("patch_size", 1)
        if isinstance(size, (list, tuple)):
            time, height, width = size
            return time, height, width
        return self.option("patch_size_t") or 1, size, size

    @property
    def _volume(self) -> int:
        """How many latent positions stand in the channels that the class is given: LTX is given tokens."""
        return math.prod(self.patch) if self.model == "LTXVideoTransformer3DModel" else 1

    def option(self, name: str, default: Any = None) -> Any:
        """Return an argument of the class, its own default where `options` leave it out."""
        return self.options.get(name, self.backbone.defaults.get(name, default))

    def arguments(self) -> dict[str, Any]:
        """Return all arguments of the class; channels and text width must be known (see `follow`)."""
        known, channels = self.backbone, (self.latent_channels or 0) * self._volume
        mask = (known.given or 0) * self._volume
        made = {
            **known.defaults,
            **self.options,
            "in_channels": 2 * channels + mask if self.given else channels,
            "out_channels": 2 * channels if self.learned_sigma else channels,
            known.text: self.text_width,
        }
        if known.pooled:
            made[known.pooled[0]] = self.pooled_width or self.text_width
        return made

    def contract(self) -> DenoiserContract:
        """Return what this denoiser declares."""
        positions = self.model == "CogVideoXTransformer3DModel" and not self.option(
            "use_rotary_positional_embeddings"
        )
        text = TextSpec(
            space=self.text_space,
            width=self.text_width,
            pooled_width=self.pooled_width,
            max_tokens=self.text_tokens if positions else None,
            padding=self.text_padding,
        )
        return self.base_contract(patch=self.patch, text=text, abilities=self._abilities())

    def _abilities(self) -> frozenset[str]:
        able = {
            "fps": self.model == "LTXVideoTransformer3DModel" or bool(self.option("inject_sample_info")),
            "given": self.given,
            "guidance_embed": bool(self.option("guidance_embeds")),
            "per_frame_time": self.per_frame_time,
        }
        return frozenset(name for name, holds in able.items() if holds)

    def follow(self, latent: LatentSpec | None = None, text: TextSpec | None = None) -> Self:
        """Fill what follows from the neighbours (or stand-alone defaults), the pooled text and the strides among it."""
        changes: dict[str, Any] = {}
        if self.pooled_width is None and self.backbone.pooled:
            changes["pooled_width"] = (text and text.pooled_width) or 0
        if self.pixel_stride is None and self.model == "LTXVideoTransformer3DModel":
            time, space = (latent.time_stride, latent.space_stride) if latent else (4, 8)
            changes["pixel_stride"] = (time, space, space)
        neighbours = {name: spec for name, spec in (("latent", latent), ("text", text)) if spec is not None}
        return DenoiserConfig.follow(self.replace(**changes), **neighbours)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `from_dict` reads back equal; in `options` an empty list is None, which TOML lacks."""
        options = {name: [] if value is None else value for name, value in self.options.items()}
        return {**DenoiserConfig.to_dict(self), "options": options}

    def forget(self) -> Self:
        """Return the configuration with all open again that `follow` fills."""
        return DenoiserConfig.forget(self).replace(pooled_width=None, pixel_stride=None)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed; with another `model`, what belonged to the old one is forgotten."""
        if changes.get("model", self.model) != self.model:
            return type(self).from_dict(changes)
        return DenoiserConfig.replace(self, **changes)

    @classmethod
    def from_published(cls, data: Mapping[str, Any], tensors: Collection[str]) -> Self:
        """Read the ``config.json`` of a denoiser that diffusers wrote; what it leaves out is the class's default."""
        name = data.get("_class_name")
        if name not in BACKBONES:
            raise ConfigError(
                f"diffusers' denoiser {name!r} is not supported.{closest(str(name), BACKBONES)} "
                f"Supported are: {', '.join(BACKBONES)}."
            )
        known = BACKBONES[str(name)]
        implied = {
            "in_channels": known.channels[0],
            "out_channels": known.channels[1],
            known.text: known.text_width,
        }
        if known.pooled:
            implied[known.pooled[0]] = known.pooled[1]
        told = {k: v for k, v in data.items() if not k.startswith("_") and k not in known.ignored}
        # what is switched off switches nothing on, also where a newer or older version has an argument more
        read = {
            k: v for k, v in told.items() if k in known.defaults or k in implied or v not in (None, False)
        }
        stride = (8, 32, 32) if name == "LTXVideoTransformer3DModel" else None
        return cls(
            model=cast("Model", name), options={**implied, **read}, text_padding=known.padding, pixel_stride=stride
        )  # fmt: skip
