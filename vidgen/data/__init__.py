"""Captioned videos for training: the interface of data sets, and batches of one size."""

from vidgen.data.data_set import DataSet, Sample

__all__ = ["DataSet", "Sample"]
