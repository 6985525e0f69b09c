"""The environment in which a process with a model should start."""

from __future__ import annotations

#: One thread for BLAS, which small matrices do not outgrow, and freed memory kept: asking the system for it anew takes a third of a
#: step.  Other C libraries than glibc do not know the last two.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": "134217728",
    "MALLOC_MMAP_THRESHOLD_": "134217728",
}
