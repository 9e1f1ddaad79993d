"""Checks of text encoders: widths, padding, and prompts that nobody thought of."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from vidgen.contract import TextSpec
from vidgen.errors import ConfigError
from vidgen.interfaces import TextEmbedding
from vidgen.testing.check import Measured, NotApplicable, Subject, Violated, check, distance
from vidgen.testing.probe import PROMPTS

__all__: list[str] = []

ODD_PROMPTS = (
    "",
    "   ",
    "\n\t",
    "naïve café, Ünïcödé",
    "红色的圆圈向左移动",
    "دائرة حمراء",
    "\U0001f534\U0001f449\U0001f3fd",
    "a\u0000b",
    "\ud800",
    "x" * 300,
    "<s></s><pad>[CLS]",
)


@check("text_encoder")
def embeddings_as_declared(subject: Subject) -> None:
    """Tokens, mask and pooled vector have the declared widths and types; prompts stay within the declared length."""
    need, made = _spec(subject), _encode(subject.stirred(), PROMPTS)
    batch, length, width = made.tokens.shape
    if batch != len(PROMPTS) or (need.width is not None and width != need.width):
        raise Violated(
            f"tokens are {list(made.tokens.shape)}; declared: {len(PROMPTS)} prompts, width {need.width}"
        )
    if made.text_mask.shape != (batch, length) or made.text_mask.dtype != torch.bool:
        raise Violated(f"the mask is {made.text_mask.dtype} {list(made.text_mask.shape)}, not bool [B, L]")
    if need.max_tokens is not None and length > need.max_tokens:
        raise Violated(f"{length} tokens, but at most {need.max_tokens} are declared")
    pooled = 0 if made.pooled is None else made.pooled.shape[-1]
    if need.pooled_width is not None and pooled != need.pooled_width:
        raise Violated(f"the pooled vector is {pooled} wide; declared: {need.pooled_width}")
    if not made.tokens.isfinite().all():
        raise Violated("tokens are not finite")


@check("text_encoder")
def text_padding_as_declared(subject: Subject) -> None:
    """Behind a prompt's end stands what is declared: masked tokens, zeros, or tokens to attend to."""
    rule, made = _spec(subject).padding, _encode(subject.stirred(), PROMPTS)
    short, long = made.text_mask.sum(1).min(), made.text_mask.sum(1).max()
    if rule == "masked" and short == long:
        raise Violated("a short and a long prompt have masks of one length, but padding is declared masked")
    if rule == "attended" and not made.text_mask.all():
        raise Violated("padding is declared to be attended to, but the mask leaves it out")
    if rule == "zeros" and made.tokens[~made.text_mask].abs().sum() > 0:
        raise Violated("padding is declared to be zeros, but is not")
    falls = made.text_mask[:, 1:] & ~made.text_mask[:, :-1]
    if falls.any():
        raise Violated("the mask has holes: tokens to read stand first")


@check("text_encoder")
def alone_or_among_others(subject: Subject) -> Measured:
    """A prompt has the same tokens and pooled vector alone as beside longer and shorter ones."""
    part, worst = subject.stirred(), 0.0
    prompts = (*PROMPTS, "", "one more prompt that is a good deal longer than all of the others before it")
    together = _encode(part, prompts)
    for index, prompt in enumerate(prompts):
        alone = _encode(part, [prompt])
        worst = max(worst, distance(_read(together, index), _read(alone, 0)))
        if alone.pooled is not None and together.pooled is not None:
            worst = max(worst, distance(together.pooled[index], alone.pooled[0]))
    return Measured(worst, 1e-4)


@check("text_encoder")
def odd_prompts_are_read(subject: Subject) -> None:
    """Empty prompts, other scripts, emojis, control signs and broken Unicode give finite tokens."""
    part = subject.stirred()
    for prompt in ODD_PROMPTS:
        made = _encode(part, [prompt])
        if made.tokens.shape[1] < 1:
            raise Violated(f"{prompt!r} gives no token at all, not even a masked one")
        if not made.tokens.isfinite().all():
            raise Violated(f"{prompt!r} gives tokens that are not finite")


@check("text_encoder")
def long_prompts_are_cut_aloud(subject: Subject) -> None:
    """A prompt beyond the declared length is cut with a warning, never silently; a short one gives none."""
    most = _spec(subject).max_tokens
    if most is None:
        raise NotApplicable("no largest number of tokens is declared")
    part = subject.stirred()
    with warnings.catch_warnings(record=True) as short:
        warnings.simplefilter("always")
        _encode(part, ["red"])
    if any(issubclass(one.category, UserWarning) for one in short):
        raise Violated(f"a prompt of one word gives a warning: {short[0].message}")
    with warnings.catch_warnings(record=True) as long:
        warnings.simplefilter("always")
        made = _encode(part, [" ".join(["circle"] * (2 * most + 2))])
    if made.tokens.shape[1] > most:
        raise Violated(f"{made.tokens.shape[1]} tokens come out; at most {most} are declared")
    if not any(issubclass(one.category, UserWarning) for one in long):
        raise Violated("a prompt that is too long is cut without a warning")


@check("text_encoder")
def prompts_differ(subject: Subject) -> None:
    """Other words, and the same words in another order, have other tokens."""
    part = subject.stirred()
    made = [
        _encode(part, [prompt]).tokens for prompt in ("red circle left", "blue cross up", "circle red left")
    ]
    for other in made[1:]:
        if made[0].shape == other.shape and distance(other, made[0]) < 1e-6:
            raise Violated("two different prompts have the same tokens")


@check("text_encoder")
def bad_prompts_are_refused(subject: Subject) -> None:
    """A bare string, no prompt, and things that are no strings raise ConfigError."""
    part = subject.make()
    for bad in ("a string", [], [None], [1], None):
        try:
            part.encode(bad)
        except ConfigError:
            continue
        raise Violated(f"encode({bad!r}) is taken without a word")


@check("text_encoder")
def embeddings_learn(subject: Subject) -> None:
    """Tokens (and the pooled vector) carry a finite gradient back to the weights."""
    part = subject.stirred().train()
    torch.manual_seed(0)
    made = part.encode(list(PROMPTS))
    if not made.tokens.requires_grad:
        raise Violated("tokens carry no gradient: the encoder cannot be trained with a denoiser")
    loss = made.tokens.square().sum() + (0 if made.pooled is None else made.pooled.square().sum())
    loss.backward()
    gradients = [p.grad for p in part.parameters() if p.grad is not None]
    if not any(g.abs().sum() > 0 for g in gradients) or not all(g.isfinite().all() for g in gradients):
        raise Violated("gradients are zero everywhere or not finite")


def _spec(subject: Subject) -> TextSpec:
    spec: TextSpec = subject.config.contract().text
    return spec


@torch.no_grad()
def _encode(part: object, prompts: object) -> TextEmbedding:
    made = part.encode(list(prompts))  # type: ignore[attr-defined, call-overload]
    if not isinstance(made, TextEmbedding):
        raise Violated(f"encode returns {type(made).__name__}, not a vidgen.TextEmbedding")
    return made


def _read(made: TextEmbedding, row: int) -> Tensor:
    return made.tokens[row][made.text_mask[row]]
