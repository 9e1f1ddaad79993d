"""The four interfaces, one base class a file, and what they exchange."""

from vidgen.interfaces.autoencoder import VideoAutoencoder
from vidgen.interfaces.denoiser import Condition, Denoiser, Prediction
from vidgen.interfaces.normalised import KLAutoencoder, NormalisedAutoencoder
from vidgen.interfaces.packed import PackedLatents, PackingDenoiser
from vidgen.interfaces.scheduler import Denoise, Grid, OnStep, Scheduler, TimeGrid, draw_noise
from vidgen.interfaces.text_encoder import TextEmbedding, TextEncoder

__all__ = [
    "Condition",
    "Denoise",
    "Denoiser",
    "Grid",
    "KLAutoencoder",
    "NormalisedAutoencoder",
    "OnStep",
    "PackedLatents",
    "PackingDenoiser",
    "Prediction",
    "Scheduler",
    "TextEmbedding",
    "TextEncoder",
    "TimeGrid",
    "VideoAutoencoder",
    "draw_noise",
]
