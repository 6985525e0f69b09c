"""Import of what other trackers wrote: TensorBoard, W&B, MLflow and Trackio.

Each format is read directly, without the tracker that wrote it.
"""

from __future__ import annotations
