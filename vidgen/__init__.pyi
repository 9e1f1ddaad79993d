"""The public names, for type checkers; `vidgen/__init__.py` loads them lazily."""

from vidgen.config import Config as Config
from vidgen.contract import AutoencoderConfig as AutoencoderConfig
from vidgen.contract import AutoencoderContract as AutoencoderContract
from vidgen.contract import DenoiserConfig as DenoiserConfig
from vidgen.contract import DenoiserContract as DenoiserContract
from vidgen.contract import KLAutoencoderConfig as KLAutoencoderConfig
from vidgen.contract import LatentSpec as LatentSpec
from vidgen.contract import NormalisedAutoencoderConfig as NormalisedAutoencoderConfig
from vidgen.contract import Problem as Problem
from vidgen.contract import SchedulerConfig as SchedulerConfig
from vidgen.contract import SchedulerContract as SchedulerContract
from vidgen.contract import TextEncoderConfig as TextEncoderConfig
from vidgen.contract import TextEncoderContract as TextEncoderContract
from vidgen.contract import TextSpec as TextSpec
from vidgen.creation import create as create
from vidgen.hookspecs import hookimpl as hookimpl
from vidgen.interfaces import Condition as Condition
from vidgen.interfaces import Denoiser as Denoiser
from vidgen.interfaces import KLAutoencoder as KLAutoencoder
from vidgen.interfaces import NormalisedAutoencoder as NormalisedAutoencoder
from vidgen.interfaces import Prediction as Prediction
from vidgen.interfaces import Scheduler as Scheduler
from vidgen.interfaces import TextEmbedding as TextEmbedding
from vidgen.interfaces import TextEncoder as TextEncoder
from vidgen.interfaces import TimeGrid as TimeGrid
from vidgen.interfaces import VideoAutoencoder as VideoAutoencoder
from vidgen.process import Process as Process
from vidgen.process import ProcessSpec as ProcessSpec
from vidgen.published import PublishedLayout as PublishedLayout
from vidgen.published import load_published as load_published
from vidgen.recipe import Recipe as Recipe
from vidgen.recipe import check as check
from vidgen.registration import register as register
from vidgen.registry import find as find
from vidgen.registry import list_components as list_components
from vidgen.registry import plugins as plugins
from vidgen.sampling.pipeline import Pipeline as Pipeline
from vidgen.sampling.pipeline import compose as compose
from vidgen.sampling.pipeline import load as load
from vidgen.size import Size as Size
from vidgen.spec import KINDS as KINDS
from vidgen.spec import ComponentSpec as ComponentSpec
from vidgen.video import Video as Video

__version__: str
