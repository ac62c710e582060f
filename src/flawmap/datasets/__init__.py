"""Where images lie: layouts of folders, and loading many images at one size."""

from flawmap.datasets.base import Dataset, DatasetError, Sample
from flawmap.datasets.load import LoadedImages, fingerprint, load_images
from flawmap.datasets.registry import LAYOUTS, Layout, open_dataset

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
]
