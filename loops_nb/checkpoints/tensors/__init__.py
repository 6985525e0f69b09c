"""Tensors of checkpoints: listed from safetensors headers and read one by one, remotely or from a folder."""

from loops_nb.checkpoints.tensors.bucket import BucketCheckpoint, open_bucket, open_buckets, refs_at
from loops_nb.checkpoints.tensors.cache import HeaderCache
from loops_nb.checkpoints.tensors.fetched import FetchedCheckpoint
from loops_nb.checkpoints.tensors.folder import LocalCheckpoint, open_folder
from loops_nb.checkpoints.tensors.info import TensorInfo
from loops_nb.checkpoints.tensors.remote import RemoteCheckpoint, fetched_sentence, open_checkpoint, open_many
from loops_nb.checkpoints.tensors.source import WeightSource

__all__ = [
    "BucketCheckpoint",
    "FetchedCheckpoint",
    "HeaderCache",
    "LocalCheckpoint",
    "RemoteCheckpoint",
    "TensorInfo",
    "WeightSource",
    "fetched_sentence",
    "open_bucket",
    "open_buckets",
    "open_checkpoint",
    "open_folder",
    "open_many",
    "refs_at",
]
