"""Tensors of checkpoints: listed from the headers of their files, and read one by one, at a distance or from a folder."""

from loops_nb.tensors.cache import HeaderCache
from loops_nb.tensors.folder import LocalCheckpoint, open_folder
from loops_nb.tensors.info import TensorInfo
from loops_nb.tensors.remote import RemoteCheckpoint, open_checkpoint, open_many
from loops_nb.tensors.source import WeightSource
from loops_nb.tensors.told import fetched_sentence

__all__ = [
    "HeaderCache",
    "LocalCheckpoint",
    "RemoteCheckpoint",
    "TensorInfo",
    "WeightSource",
    "fetched_sentence",
    "open_checkpoint",
    "open_folder",
    "open_many",
]
