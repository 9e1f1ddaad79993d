"""Contracts: what each part declares about itself, and whether four of them fit. No torch here.

In a contract of a part that *provides* something, None means "cannot be known without loading". In one that *needs*
something, None means "follows": an untrained part takes it from its neighbour.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from vidgen.config import Config, config, require
from vidgen.process import Prediction, ProcessSpec
from vidgen.size import Size

__all__ = [
    "ABILITIES",
    "AutoencoderConfig",
    "AutoencoderContract",
    "DenoiserConfig",
    "DenoiserContract",
    "KLAutoencoderConfig",
    "LatentSpec",
    "NormalisedAutoencoderConfig",
    "Problem",
    "SchedulerConfig",
    "SchedulerContract",
    "Status",
    "TextEncoderConfig",
    "TextEncoderContract",
    "TextSpec",
    "default_config",
    "find_problems",
    "must_train",
]

Status = Literal["native", "must be trained", "refused"]
"""What a combination is: it runs as trained; it runs but has to be trained; it is refused."""

ABILITIES = {
    "fps": "takes the frame rate as a condition",
    "given": "takes given frames as extra channels",
    "guidance_embed": "takes the guidance scale as a condition",
    "image_tokens": "takes the tokens of an image",
    "pack": "takes samples of different sizes in one sequence",
    "per_frame_time": "takes a time for each latent frame, so that given frames can be clean",
}
"""What a denoiser may declare that it can do beyond the common signature."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentSpec:
    """A latent space and how pixels map to it.

    Attributes:
        space: Identity of the space; two parts with one space understand each other's latents.
        channels: Latent channels C.
        time_stride: Frames to a latent frame.
        space_stride: Pixels to a latent position, in height and in width.
        frame_rule: ``causal`` wants 1 + k * time_stride frames, ``multiple`` k * time_stride, ``any`` takes all.
        streaming: ``exact`` (equal to the whole clip at every length), ``windowed`` or ``none``.
        codebook: Number of discrete codes; None for continuous latents.
    """

    space: str
    channels: int
    time_stride: int
    space_stride: int
    frame_rule: Literal["causal", "multiple", "any"] = "causal"
    streaming: Literal["exact", "windowed", "none"] = "none"
    codebook: int | None = None

    def latent_size(self, size: Size) -> Size:
        """Return the latent size of a video size that fits (see `fits`)."""
        head = 1 if self.frame_rule == "causal" else 0
        frames = head + -(-(size.frames - head) // self.time_stride)
        return Size(frames, -(-size.height // self.space_stride), -(-size.width // self.space_stride))

    def pixel_size(self, size: Size) -> Size:
        """Return the video size that latents of a size decode to."""
        head = 1 if self.frame_rule == "causal" else 0
        frames = head + (size.frames - head) * self.time_stride
        return Size(frames, size.height * self.space_stride, size.width * self.space_stride)

    def fits(self, size: Size) -> bool:
        """Return whether a video of this size maps to latents without padding."""
        return self.pixel_size(self.latent_size(size)) == size

    def padded(self, size: Size) -> Size:
        """Return the smallest size that fits and is at least as large."""
        return self.pixel_size(self.latent_size(size))

    def nearest(self, size: Size) -> list[Size]:
        """Return the fitting sizes just below and above, nearest first, at most two."""
        above = self.padded(size)
        strides = (self.time_stride, self.space_stride, self.space_stride)
        below = Size(*(a if a == s else max(a - d, 1 if i == 0 and self.frame_rule == "causal" else d)
                       for i, (a, s, d) in enumerate(zip(above, size, strides, strict=True))))  # fmt: skip
        return list(dict.fromkeys((above, below)))


@dataclass(frozen=True, kw_only=True, slots=True)
class TextSpec:
    """A text space: what a text encoder gives, or what a denoiser reads.

    Attributes:
        space: Identity of the space.
        width: Width D of the tokens.
        pooled_width: Width P of the pooled vector; 0 for none.
        max_tokens: Longest prompt in tokens.
        padding: What stands behind the last token: ``masked`` (text_mask 0, to be ignored), ``zeros`` (zero vectors,
            attended to) or ``attended`` (whatever the encoder gives, attended to).
    """

    space: str | None = None
    width: int | None = None
    pooled_width: int | None = None
    max_tokens: int | None = None
    padding: Literal["masked", "zeros", "attended"] = "masked"


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderContract:
    """What an autoencoder declares."""

    latent: LatentSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class TextEncoderContract:
    """What a text encoder declares."""

    text: TextSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class DenoiserContract:
    """What a denoiser declares; None for a latent or text field means that it follows its neighbour.

    Attributes:
        latent_space: The space it was trained on.
        latent_channels: Channels of its input.
        patch: Latent positions (t, h, w) to a token; sizes that do not divide are padded inside.
        max_latent: Largest latent size (t, h, w) it can make; None for any.
        text: What it reads.
        process: The process it was trained on.
        prediction: What its output means.
        abilities: Names out of `ABILITIES`.
    """

    latent_space: str | None = None
    latent_channels: int | None = None
    patch: tuple[int, int, int] = (1, 1, 1)
    max_latent: Size | None = None
    text: TextSpec = field(default_factory=TextSpec)
    process: ProcessSpec = field(default_factory=ProcessSpec)
    prediction: Prediction = "flow"
    abilities: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        unknown = self.abilities - set(ABILITIES)
        require(not unknown, f"Unknown abilities {sorted(unknown)}; known: {', '.join(ABILITIES)}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class SchedulerContract:
    """What a scheduler declares.

    Attributes:
        order: Order of convergence.
        evaluations_per_step: Denoiser evaluations a step.
        stochastic: Whether it draws noise on the way.
        start: Largest t at which it evaluates.
    """

    order: int
    evaluations_per_step: int = 1
    stochastic: bool = False
    start: float = 1.0


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
    """

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
        changes: dict[str, Any] = {}
        if self.latent_channels is None:
            changes["latent_channels"] = latent.channels
        if self.text_width is None:
            changes["text_width"] = text.width
        return self.replace(**changes) if changes else self


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Why two parts do not fit.

    Attributes:
        parts: The two parts, as ``kind name``.
        field: What differs.
        values: Both values, in the order of `parts`.
        remedy: What to do.
    """

    parts: tuple[str, str]
    field: str
    values: tuple[Any, Any]
    remedy: str

    def __str__(self) -> str:
        (one, two), (left, right) = self.parts, self.values
        return f"{one} and {two} differ in {self.field}: {left!r} against {right!r}; {self.remedy}."


@dataclass(frozen=True, kw_only=True, slots=True)
class Contracts:
    """The four contracts of a combination, with the names of the parts for messages."""

    autoencoder: AutoencoderContract
    denoiser: DenoiserContract
    text_encoder: TextEncoderContract
    scheduler: SchedulerContract
    names: dict[str, str]

    def part(self, kind: str) -> str:
        """Return ``kind name``."""
        return f"{kind.replace('_', ' ')} {self.names[kind]!r}"


def find_problems(contracts: Contracts, *, foreign: bool = False, adapt: bool = False) -> list[Problem]:
    """Return every reason for which four parts cannot run together; an empty list when they fit.

    Args:
        contracts: What the parts declare.
        foreign: Let trained parts meet a space that they do not know.
        adapt: Let trainable projections bridge different numbers of channels and widths.
    """
    latent, den = contracts.autoencoder.latent, contracts.denoiser
    text, need = contracts.text_encoder.text, den.text
    ae, dn, te, sc = (contracts.part(k) for k in ("autoencoder", "denoiser", "text_encoder", "scheduler"))
    found: list[Problem] = []

    def differ(one: str, two: str, name: str, left: Any, right: Any, remedy: str) -> None:
        if left is not None and right is not None and left != right:
            found.append(Problem(parts=(one, two), field=name, values=(left, right), remedy=remedy))

    if not adapt:
        bridge = "or adapt=True adds a trainable projection"
        differ(ae, dn, "latent channels", latent.channels, den.latent_channels,
               f"choose another preset or another part by name, {bridge}")  # fmt: skip
        differ(
            te, dn, "text width", text.width, need.width, f"choose another preset or text encoder, {bridge}"
        )
    if need.pooled_width:
        differ(te, dn, "pooled text width", text.pooled_width, need.pooled_width,
               "choose a text encoder with that pooled vector")  # fmt: skip
    if not foreign:
        knowing = "or foreign=True goes on knowingly"
        differ(ae, dn, "latent space", latent.space or "random weights", den.latent_space,
               f"load the autoencoder that it was trained on, train the denoiser anew, {knowing}")  # fmt: skip
        differ(te, dn, "text space", "random weights" if text.space == "" else text.space, need.space,
               f"load the text encoder that the denoiser was trained on, {knowing}")  # fmt: skip
        if need.space is not None or need.padding != "masked":
            differ(
                te,
                dn,
                "text padding",
                text.padding,
                need.padding,
                f"choose a text encoder that pads so, {knowing}",
            )
    if den.prediction == "epsilon" and den.process.ends_in_noise and contracts.scheduler.start >= 1.0:
        found.append(
            Problem(
                parts=(dn, sc),
                field="first time of the grid",
                values=(
                    f"epsilon on {den.process.name}, which has no clean sample at t = 1",
                    contracts.scheduler.start,
                ),
                remedy="start the grid below 1 (start=0.999), or predict v, flow or sample",
            )
        )
    return found


def must_train(contracts: Contracts, *, random: Iterable[str] = ()) -> bool:
    """Return whether a combination that fits still has to be trained.

    Args:
        contracts: What the parts declare.
        random: Kinds of the parts that have random weights.
    """
    den, latent, text = contracts.denoiser, contracts.autoencoder.latent, contracts.text_encoder.text
    known = den.latent_space is not None and den.text.space is not None
    same = den.latent_space == latent.space and den.text.space == text.space
    return bool(set(random)) or not (known and same)
