"""Folder layouts of data sets, and loading of many images at one size."""

from flawmap.data.layouts.registry import LAYOUTS, Layout, open_dataset, read_dataset
from flawmap.data.samples import Dataset, DatasetError, Sample
from flawmap.data.store import LoadedImages, fingerprint, load_images

__all__ = [
    "LAYOUTS",
    "Dataset",
    "DatasetError",
    "Layout",
    "LoadedImages",
    "Sample",
    "fingerprint",
    "load_images",
    "open_dataset",
    "read_dataset",
]
