"""Whether four parts fit, and if not, why. No torch here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from vidgen.contract.declared import (
    AutoencoderContract,
    DenoiserContract,
    SchedulerContract,
    TextEncoderContract,
)

__all__ = ["Contracts", "Problem", "Status", "find_problems", "must_train"]

Status = Literal["native", "must be trained", "refused"]
"""What a combination is: it runs as trained; it runs but has to be trained; it is refused."""


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
    if need.image_width:
        differ(te, dn, "width of an image's tokens", text.image_width, need.image_width,
               "choose a text encoder that reads images too")  # fmt: skip
    if not foreign:
        knowing = "or foreign=True goes on knowingly"
        differ(ae, dn, "time stride", latent.time_stride, den.time_stride,
               f"choose an autoencoder with that stride, train the denoiser anew, {knowing}")  # fmt: skip
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
    own = contracts.scheduler.process
    if own is not None and not own.agrees(den.process):
        differ(dn, sc, "process", den.process.description, own.description,
               "choose a solver that follows the denoiser, `vidgen list scheduler`")  # fmt: skip
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
