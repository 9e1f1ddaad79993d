"""The page itself: what stands where, and what happens on a click. All that needs gradio is here."""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # gradio reads it while it is imported

import gradio as gr

from vidgen.errors import ConfigError
from vidgen.size import Size
from vidgen.spec import INTERFACES
from vidgen.ui.combination import Choice, alternatives, another, default_parts, default_sampling, fit, said
from vidgen.ui.state import Studio, Wish, in_one_line

__all__ = ["launch", "make_page"]

MISFIT = "\u2717"
"""Begins the label of what does not fit; the style below greys it."""
CSS = f"""
.gradio-container {{ max-width: 1240px !important; margin: auto }}
[role=option][aria-label^="{MISFIT}"] {{ color: var(--body-text-color-subdued) !important; opacity: .55 }}
.said {{ padding: .5em .9em }}
.said ul {{ margin: .2em 0 0 1.2em; list-style: disc; font-size: .9em }}
.no {{ color: var(--error-text-color) }}
.line {{ min-height: 1.5em }}
.film video {{ image-rendering: pixelated; width: 100%; height: 100%; object-fit: contain }}
"""
FONT, MONO = ("ui-sans-serif", "system-ui", "sans-serif"), ("ui-monospace", "monospace")
"""None that would have to be fetched."""
EXAMPLE = "a large red circle moving left on a black background"


@dataclass(frozen=True, slots=True)
class Side:
    """What stands on the page for one of the two combinations."""

    name: str
    picks: list[gr.Dropdown]
    words: gr.HTML
    film: gr.Video
    line: gr.HTML
    file: gr.DownloadButton


def make_page(studio: Studio) -> gr.Blocks:
    """Return the page of a studio, not yet launched."""
    os.environ["GRADIO_TEMP_DIR"] = str(
        studio.folder
    )  # what gradio serves of its own lies there, and nothing else
    first, usual = default_parts(), default_sampling()
    scale = usual.guidance if isinstance(usual.guidance, float) else 3.0
    with gr.Blocks(title="vidgen", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown("# vidgen\nTwo combinations of parts, one prompt, one seed.")
        with gr.Row():
            prompt = gr.Textbox(EXAMPLE, label="Prompt", scale=2, elem_id="prompt")
            negative = gr.Textbox("", label="Keep away from", elem_id="negative")
        with gr.Row():
            size = [_number(side, getattr(usual, side)) for side in Size._fields]
            steps, seed = _number("steps", usual.steps), _number("seed", 0)
            guidance = _number("guidance", scale, precision=None)
        with gr.Row():
            go = gr.Button("Generate both", variant="primary", scale=4, elem_id="go")
            stop = gr.Button("Stop", variant="stop", elem_id="stop")
        note = gr.HTML(elem_id="note", elem_classes="line")
        with gr.Row():
            sides = [_side("A", first), _side("B", another(first))]

        chosen = [pick for side in sides for pick in side.picks]
        judging: dict[str, Any] = {
            "fn": _judge,
            "inputs": [*chosen, *size],
            "outputs": [*chosen, *(side.words for side in sides), note, go],
            "queue": False,
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        changes = [*(pick.input for pick in chosen), *(number.change for number in size)]
        gr.on(changes, **judging, trigger_mode="always_last")
        page.load(**judging)

        def start(request: gr.Request) -> list[Any]:
            studio.start(str(request.session_hash))
            empty = [None, _html("Waiting for its turn."), gr.DownloadButton(interactive=False)]
            return [gr.Button(interactive=False), *empty, *empty]

        def end(request: gr.Request) -> None:
            studio.stop(str(request.session_hash))

        shown = [[side.film, side.line, side.file] for side in sides]
        run = go.click(start, None, [go, *shown[0], *shown[1]], queue=False, api_visibility="private")
        for side, outputs in zip(sides, shown, strict=True):
            run = run.then(
                _maker(studio, side.name),
                [*side.picks, prompt, negative, seed, *size, steps, guidance],
                outputs,
                concurrency_id="studio",
                concurrency_limit=1,
                show_progress_on=side.film,
                api_visibility="private",
            )
        run.then(**judging)
        stop.click(end, queue=False, api_visibility="private")
        page.unload(end)
    return page


def _number(name: str, value: float, precision: int | None = 0) -> gr.Number:
    return gr.Number(value, label=name.capitalize(), precision=precision, min_width=90, elem_id=name)


def _side(name: str, parts: dict[str, str]) -> Side:
    with gr.Column(min_width=380):
        with gr.Group():
            picks = [
                gr.Dropdown(
                    _labels(alternatives(parts, kind)),
                    value=parts[kind],
                    label=f"{name}: {kind.replace('_', ' ')}",
                    elem_id=f"{kind}-{name}",
                )
                for kind in INTERFACES
            ]
            words = gr.HTML(_words(parts), elem_id=f"said-{name}", elem_classes="said")
        film = gr.Video(
            label=name,
            loop=True,
            autoplay=True,
            interactive=False,
            height=340,
            buttons=[],
            elem_id=f"film-{name}",
            elem_classes="film",
        )
        line = gr.HTML(elem_id=f"line-{name}", elem_classes="line")
        file = gr.DownloadButton("Download MP4", interactive=False, size="sm", elem_id=f"file-{name}")
    return Side(name, picks, words, film, line, file)


def _labels(choices: Sequence[Choice]) -> list[tuple[str, str]]:
    """Return what a list shows of each choice, with its address."""
    return [(_label(choice), choice.address) for choice in choices]


def _label(choice: Choice) -> str:
    if not choice.reasons:
        return choice.address
    reason = choice.reasons[0]
    short = reason.partition(" differ in ")[2].partition(";")[0] or reason
    return f"{MISFIT} {choice.address}: {short}"


def _html(text: str, *, bad: bool = False) -> str:
    return f"<span class='{'no' if bad else 'yes'}'>{html.escape(text)}</span>" if text else ""


def _words(parts: dict[str, str]) -> str:
    fits, (status, *reasons) = said(parts)
    items = "".join(f"<li>{_html(reason, bad=True)}</li>" for reason in reasons)
    return _html(status, bad=not fits) + (f"<ul>{items}</ul>" if items else "")


def _judge(*values: Any) -> list[Any]:
    """Return what every list shows, what is said of A and of B and of the size, and whether Generate can be pressed."""
    count = len(INTERFACES)
    lists, words, notes, able = [], [], [], True
    for name, addresses in zip("AB", (values[:count], values[count : 2 * count]), strict=True):
        parts = dict(zip(INTERFACES, addresses, strict=True))
        fits, _ = said(parts)
        # Their values stay: what has been chosen since this was asked is not taken back.
        lists += [gr.Dropdown(choices=_labels(alternatives(parts, kind))) for kind in INTERFACES]
        words.append(_words(parts))
        if not fits:
            able = False
            notes.append(_html(f"{name} does not fit: the reason stands below its parts.", bad=True))
            continue
        try:
            line, fine = fit(parts, _size(values[2 * count :]))
        except ConfigError as problem:
            line, fine = str(problem), False
        able = able and fine
        notes.append(_html(line and f"{name}: {line}", bad=not fine))
    return [*lists, *words, " ".join(dict.fromkeys(filter(None, notes))), gr.Button(interactive=able)]


def _size(values: Sequence[float | None]) -> Size:
    return Size(*(int(_given(name, value)) for name, value in zip(Size._fields, values, strict=True)))


def _given(name: str, value: float | None) -> float:
    if value is None:
        raise ConfigError(f"Give a number for {name}.")
    return value


def _maker(studio: Studio, name: str) -> Callable[..., list[Any]]:
    """Return what makes the video of a side, out of what the page holds."""
    bar = gr.Progress()

    def make(request: gr.Request, progress: gr.Progress = bar, *values: Any) -> list[Any]:
        count = len(INTERFACES)
        parts = dict(zip(INTERFACES, values[:count], strict=True))
        prompt, negative, seed, frames, height, width, steps, guidance = values[count:]
        try:
            wish = Wish(
                prompt=prompt,
                negative=negative,
                seed=int(_given("seed", seed)),
                size=_size((frames, height, width)),
                steps=int(_given("steps", steps)),
                guidance=_given("guidance", guidance),
            )
            made = studio.generate(
                parts,
                wish,
                name=f"vidgen-{name}-seed{wish.seed}",
                session=request.session_hash,
                on_step=lambda done, total: progress((done, total), desc=name, unit="steps"),
            )
        except Exception as problem:  # whatever a part may raise, the page lives on
            return [
                None,
                _html(in_one_line(problem), bad=True),
                gr.DownloadButton(value=None, interactive=False),
            ]
        path = str(made.path)
        return [path, _html(str(made)), gr.DownloadButton(value=path, interactive=True)]

    return make


def launch(
    studio: Studio, host: str = "127.0.0.1", port: int | None = None, *, show: bool = False
) -> gr.Blocks:
    """Serve the page of a studio in the background, and return it; its address is ``local_url``.

    Args:
        studio: Makes the videos.
        host: Address to listen at.
        port: Number to listen at; None takes the first free one from 7860 on.
        show: Open a browser.

    Raises:
        OSError: When the port is taken.
    """
    page = make_page(studio)
    page.queue(default_concurrency_limit=1)
    page.launch(
        server_name=host,
        server_port=port,
        inbrowser=show,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
        footer_links=[],
        allowed_paths=[],
        blocked_paths=[],
        theme=gr.themes.Default(font=FONT, font_mono=MONO),
        css=CSS,
    )
    return page
