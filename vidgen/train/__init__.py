"""Training of autoencoders and denoisers from recipes."""

from vidgen.train.config import DataConfig, TrainConfig, TrainRecipe

__all__ = ["DataConfig", "TrainConfig", "TrainRecipe"]
