"""Text encoders (two small trained ones, open_clip's text towers, the T5 family), and prompts rewritten by a model."""

from __future__ import annotations

from vidgen.hookspecs import hookimpl
from vidgen.spec import ComponentSpec
from vidgen_text.config import BytesConfig, InstructConfig, JointConfig, OpenClipConfig, WordsConfig
from vidgen_text.presets import BYTES, CLIP, JOINT, LLAMA, OPEN_CLIP, T5, WORDS
from vidgen_text.transformers_config import CLIPConfig, LlamaConfig, T5Config

__all__ = ["vidgen_components"]


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare the text encoders and the prompt refiner."""
    return [
        ComponentSpec(
            kind="text_encoder",
            name="words",
            target="vidgen_text.words:WordsEncoder",
            config=WordsConfig,
            summary="A small transformer over words, trained together with the denoiser.",
            presets=WORDS,
        ),
        ComponentSpec(
            kind="text_encoder",
            name="bytes",
            target="vidgen_text.bytes:BytesEncoder",
            config=BytesConfig,
            summary="The same over UTF-8 bytes: every language, every spelling, longer sequences.",
            presets=BYTES,
        ),
        ComponentSpec(
            kind="text_encoder",
            name="open-clip",
            target="vidgen_text.open_clip:OpenClipEncoder",
            config=OpenClipConfig,
            summary="Any text tower that open_clip knows, with tokens and the pooled vector.",
            presets=OPEN_CLIP,
        ),
        ComponentSpec(
            kind="text_encoder",
            name="t5",
            target="vidgen_text.t5:T5Encoder",
            config=T5Config,
            summary="The encoders of T5, mT5 and UMT5, by transformers.",
            presets=T5,
        ),
        ComponentSpec(
            kind="text_encoder",
            name="llama",
            target="vidgen_text.llama:LlamaEncoder",
            config=LlamaConfig,
            summary="Hidden states of a causal language model of Llama's form, by transformers.",
            presets=LLAMA,
        ),
        ComponentSpec(
            kind="text_encoder",
            name="clip",
            target="vidgen_text.clip:CLIPEncoder",
            config=CLIPConfig,
            summary="CLIP's text tower with its pooled vector unprojected, by transformers.",
            presets=CLIP,
        ),
        ComponentSpec(
            kind="text_encoder",
            name="joint",
            target="vidgen_text.joint:JointEncoder",
            config=JointConfig,
            summary="Two text encoders as one: tokens of the first, pooled vector of the second.",
            presets=JOINT,
        ),
        ComponentSpec(
            kind="prompt_refiner",
            name="instruct",
            target="vidgen_text.instruct:InstructRefiner",
            config=InstructConfig,
            summary="An instruction model of yours rewrites the prompt, by transformers.",
        ),
    ]
