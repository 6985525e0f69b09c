"""Small transformer with LoRA adapters over NumPy: trained by `learner`, sampled by `generation`.

Nothing here knows of HTTP, of records or of other processes.  `inputs` checks what callers send and loads no NumPy.
"""
