"""Checks of denoiser backbones: every promise of the contract, measured on noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from vidgen.contract import ABILITIES, DenoiserContract
from vidgen.errors import ContractError, SizeError
from vidgen.interfaces import Condition, PackedLatents, Prediction, TextEmbedding
from vidgen.process import PREDICTIONS, Process
from vidgen.size import Size
from vidgen.testing.check import Measured, NotApplicable, Subject, Violated, check, distance
from vidgen.testing.probe import all_learn, ask, latent_sizes, latents, text

__all__: list[str] = []

CLOSE = 1e-4
"""Two ways to the same answer in float32 may differ by so much of its largest value."""

TIMES = torch.tensor([0.3, 0.7])


@check("denoiser")
def predictions_as_declared(subject: Subject) -> None:
    """The prediction has the latents' shape at every size that is declared, and is finite."""
    part = subject.stirred()
    with torch.no_grad():
        for size in latent_sizes(subject):
            x, words = latents(subject, size), text(subject)
            made = part(x, TIMES, part.prepare(words, Condition(), size))
            if not isinstance(made, Prediction):
                raise Violated(f"forward returns {type(made).__name__}, not a vidgen.Prediction")
            for name, value in (("value", made.value), ("log_variance", made.log_variance)):
                if value is not None and value.shape != x.shape:
                    raise Violated(f"{name} is {list(value.shape)} for latents {list(x.shape)}")
            if not made.value.isfinite().all():
                raise Violated(f"the prediction at {size} is not finite")


@check("denoiser")
def size_limits_as_declared(subject: Subject) -> None:
    """The declared largest size is made, one beyond it is refused with SizeError."""
    most = _contract(subject).max_latent
    if most is None:
        raise NotApplicable("any size is declared")
    part = subject.stirred()
    with torch.no_grad():
        ask(part, latents(subject, most, 1), TIMES[:1], text(subject, 1))
        for axis in range(3):
            size = Size(*(n + (axis == i) for i, n in enumerate(most)))
            try:
                ask(part, latents(subject, size, 1), TIMES[:1], text(subject, 1))
            except SizeError:
                continue
            raise Violated(f"{most} is declared as the largest, but {size} is taken")


@check("denoiser")
def prepared_for_another_size_is_refused(subject: Subject) -> None:
    """Latents of another size than was prepared for raise SizeError, or are still predicted at full size."""
    part, sizes = subject.stirred(), latent_sizes(subject)
    if len(sizes) < 2:
        raise NotApplicable("one size only is declared")
    x = latents(subject, sizes[1])
    with torch.no_grad():
        prepared = part.prepare(text(subject), Condition(), sizes[0])
        try:
            made = part(x, TIMES, prepared).value
        except SizeError:
            return
        if made.shape != x.shape:
            raise Violated(f"prepared for {sizes[0]}, latents of {sizes[1]} give {list(made.shape)}")


@check("denoiser")
def padding_as_declared(subject: Subject) -> Measured:
    """What stands behind a prompt's end cannot change the answer; zero padding is read as it is declared."""
    rule = _contract(subject).text.padding
    if rule == "attended":
        raise NotApplicable("padding is declared to be attended to")
    part, words, x = subject.stirred(), text(subject), _x(subject)
    with torch.no_grad():
        plain = ask(part, x, TIMES, words)
        if rule == "zeros":  # the zeros are read, so the mask must not matter
            other = dataclasses.replace(words, text_mask=torch.ones_like(words.text_mask))
        else:
            junk = 50 * torch.randn(words.tokens.shape, generator=torch.Generator().manual_seed(9))
            other = dataclasses.replace(
                words, tokens=torch.where(words.text_mask[..., None], words.tokens, junk)
            )
        return Measured(distance(ask(part, x, TIMES, other), plain), CLOSE, "the change of the answer")


@check("denoiser")
def longer_padding_changes_nothing(subject: Subject) -> Measured:
    """Among longer prompts a prompt is masked further, which must not change its answer."""
    if _contract(subject).text.padding != "masked":
        raise NotApplicable("padding is declared to be attended to")
    part, words, x = subject.stirred(), text(subject), _x(subject)
    pad = torch.nn.functional.pad
    longer = TextEmbedding(pad(words.tokens, (0, 0, 0, 3)), pad(words.text_mask, (0, 3)), words.pooled)
    with torch.no_grad():
        return Measured(distance(ask(part, x, TIMES, longer), ask(part, x, TIMES, words)), CLOSE)


@check("denoiser")
def reads_its_inputs(subject: Subject) -> None:
    """Latents, time and text each change the answer."""
    part, words, x = subject.stirred(), text(subject), _x(subject)
    with torch.no_grad():
        plain = ask(part, x, TIMES, words)
        changed = {
            "the latents": ask(part, x + 0.5, TIMES, words),
            "the time": ask(part, x, TIMES.flip(0), words),
            "the text": ask(part, x, TIMES, text(subject, seed=1)),
        }
    for name, value in changed.items():
        if distance(value, plain) < 1e-6:
            raise Violated(f"{name} does not change the answer")


@check("denoiser")
def order_in_the_batch_does_not_matter(subject: Subject) -> Measured:
    """A permuted batch gives the permuted answer."""
    part, x, words = subject.stirred(), _x(subject, 3), text(subject, 3)
    times, order = torch.tensor([0.2, 0.5, 0.8]), torch.tensor([2, 0, 1])
    with torch.no_grad():
        plain = ask(part, x, times, words)
        return Measured(distance(ask(part, x[order], times[order], _pick(words, order)), plain[order]), CLOSE)


@check("denoiser")
def guidance_in_one_batch(subject: Subject) -> Measured:
    """Two branches of guidance in one batch give what two calls give."""
    part, x = subject.stirred(), _x(subject)
    with_text, without = text(subject), text(subject, seed=1)
    with torch.no_grad():
        both = TextEmbedding.cat([with_text, without])
        together = ask(part, torch.cat([x, x]), TIMES.repeat(2), both)
        apart = torch.cat([ask(part, x, TIMES, with_text), ask(part, x, TIMES, without)])
    return Measured(distance(together, apart), CLOSE)


@check("denoiser")
def prepared_once_is_enough(subject: Subject) -> Measured:
    """Prepared once for all steps or anew at each step: the same answers, in any order of times."""
    part, x, words = subject.stirred(), _x(subject), text(subject)
    size = Size(*x.shape[2:])
    with torch.no_grad():
        once, worst = part.prepare(words, Condition(), size), 0.0
        for time in (1.0, 0.5, 0.1, 0.5):
            times = torch.full((2,), time)
            anew = part.prepare(words, Condition(), size)
            worst = max(worst, distance(part(x, times, once).value, part(x, times, anew).value))
    return Measured(worst, 1e-6)


@check("denoiser")
def inputs_are_left_alone(subject: Subject) -> None:
    """Neither latents nor text are changed in place."""
    part, x, words = subject.stirred(), _x(subject), text(subject)
    kept = (x.clone(), words.tokens.clone(), words.text_mask.clone())
    with torch.no_grad():
        ask(part, x, TIMES, words)
    for name, before, after in zip(
        ("latents", "tokens", "mask"), kept, (x, words.tokens, words.text_mask), strict=True
    ):
        if not torch.equal(before, after):
            raise Violated(f"the {name} were changed in place")


@check("denoiser")
def finite_at_both_ends(subject: Subject) -> None:
    """At t = 0 and t = 1 the answer is finite."""
    part, x, words = subject.stirred(), _x(subject), text(subject)
    with torch.no_grad():
        for time in (0.0, 1.0):
            if not ask(part, x, torch.full((2,), time), words).isfinite().all():
                raise Violated(f"not finite at t = {time:g}")


@check("denoiser")
def per_frame_time_as_declared(subject: Subject) -> Measured:
    """A time for each frame: equal times are as one time, and a frame's own time changes the answer."""
    if "per_frame_time" not in _contract(subject).abilities:
        raise NotApplicable("per_frame_time is not declared")
    part, words = subject.stirred(), text(subject)
    size = max(latent_sizes(subject), key=lambda size: size.frames)
    x = latents(subject, size)
    with torch.no_grad():
        plain = ask(part, x, TIMES, words)
        frames = TIMES[:, None].repeat(1, size.frames)
        error = distance(ask(part, x, frames, words), plain)
        frames[:, 0] = 0.0
        if size.frames > 1 and distance(ask(part, x, frames, words), plain) < 1e-6:
            raise Violated("the first frame's own time does not change the answer")
    return Measured(error, CLOSE)


@check("denoiser")
def packing_as_declared(subject: Subject) -> Measured:
    """Samples of different sizes in one sequence get the answers that they get one by one."""
    if "pack" not in _contract(subject).abilities:
        raise NotApplicable("pack is not declared")
    part, sizes = subject.stirred(), [*latent_sizes(subject), latent_sizes(subject)[0]]
    samples = [latents(subject, size, 1, seed)[0] for seed, size in enumerate(sizes)]
    words, times = text(subject, len(sizes)), torch.linspace(0.2, 0.8, len(sizes))
    x, worst = PackedLatents.of(samples), 0.0
    with torch.no_grad():
        made = part(x, times, part.prepare(words, Condition(), x.sizes)).value
        if made.shape != x.values.shape:
            raise Violated(f"packed latents {list(x.values.shape)} give {list(made.shape)}")
        for number, one in enumerate(PackedLatents(made, x.sizes).split()):
            row = torch.tensor([number])
            alone = ask(part, samples[number][None], times[row], _pick(words, row))
            worst = max(worst, distance(one[None], alone))
    return Measured(worst, CLOSE, "the difference from one by one")


@check("denoiser")
def abilities_as_declared(subject: Subject) -> None:
    """What is not declared is refused with ContractError; what is declared is taken and changes the answer."""
    part, x, words = subject.stirred(), _x(subject), text(subject)
    contract = _contract(subject)
    b, c, *size = x.shape
    offers: dict[str, Callable[[float], Tensor]] = {
        "fps": lambda v: torch.full((b,), 8.0 + 16.0 * v),
        "given": lambda v: torch.full((b, c + 1, *size), v),
        "given_frames": lambda v: torch.full((b, c + (contract.time_stride or 1), *size), v),
        "guidance_embed": lambda v: torch.full((b,), 1.0 + 6.0 * v),
        "image_tokens": lambda v: torch.full((b, 3, contract.text.image_width or 16), 1.0 - 2.0 * v),
    }
    assert set(offers) <= set(ABILITIES)
    with torch.no_grad():
        for name, offer in offers.items():
            one, two = (Condition(**{name: offer(value)}) for value in (0.0, 1.0))
            if name in contract.abilities:
                if distance(ask(part, x, TIMES, words, one), ask(part, x, TIMES, words, two)) < 1e-6:
                    raise Violated(f"{name} is declared, but does not change the answer")
                continue
            try:
                ask(part, x, TIMES, words, one)
            except ContractError:
                continue
            raise Violated(
                f"{name} is not declared, but taken without a word; call condition.check in prepare"
            )


@check("denoiser")
def learns_everywhere(subject: Subject) -> None:
    """Every parameter gets a finite gradient."""
    part = subject.stirred().train()
    torch.manual_seed(0)
    for size in latent_sizes(subject)[-2:]:  # some parameters serve several frames only
        ask(part, latents(subject, size), TIMES, text(subject)).square().mean().backward()
    all_learn(part)


@check("denoiser")
def learns_its_prediction(subject: Subject) -> Measured:
    """Trained a little on its declared process and prediction, the part comes nearer to the target."""
    contract, part = _contract(subject), subject.make().train()
    process, size = Process(contract.process), latent_sizes(subject)[0]
    optimizer = torch.optim.AdamW(part.parameters(), lr=1e-3)
    clean, words = 0.5 * torch.tanh(latents(subject, size, 4)), text(subject, 4)
    draw = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(20):
        noise = torch.randn(clean.shape, generator=draw)
        times = 0.1 + 0.8 * torch.rand(4, generator=draw)
        made = ask(part, process.add_noise(clean, noise, times).float(), times, words)
        target = process.target(contract.prediction, clean, noise, times).float()
        loss = (made - target).square().mean() / target.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return Measured(sum(losses[-4:]) / sum(losses[:4]), 0.99, "the loss after 20 steps, relative to before,")


@check("denoiser")
def process_inverts(subject: Subject) -> Measured:
    """On the declared process every prediction leads back to the clean sample, and table indices to times."""
    contract = _contract(subject)
    process = Process(contract.process)
    draw = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(5, 2, 1, 2, 2, generator=draw, dtype=torch.float64) for _ in range(2))
    times = torch.tensor([0.05, 0.3, 0.5, 0.7, 0.95], dtype=torch.float64)
    x, worst = process.add_noise(clean, noise, times), 0.0
    for prediction in PREDICTIONS:
        output = process.target(prediction, clean, noise, times)
        worst = max(worst, distance(process.to_clean(prediction, output, x, times), clean))
    back = process.time_to_index(process.index_to_time(torch.arange(10)))
    worst = max(worst, float((back - torch.arange(10)).abs().max()))
    if contract.prediction == "epsilon" and contract.process.ends_in_noise:
        raise Violated("epsilon on a process that ends in pure noise has no clean sample at t = 1")
    return Measured(worst, 1e-8)


def _contract(subject: Subject) -> DenoiserContract:
    contract: DenoiserContract = subject.config.contract()
    return contract


def _x(subject: Subject, batch: int = 2) -> Tensor:
    return latents(subject, latent_sizes(subject)[1 if len(latent_sizes(subject)) > 1 else 0], batch)


def _pick(words: TextEmbedding, order: Tensor) -> TextEmbedding:
    pooled = None if words.pooled is None else words.pooled[order]
    return TextEmbedding(words.tokens[order], words.text_mask[order], pooled)
