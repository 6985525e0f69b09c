"""Evaluation of checkpoints: a set of prompts, scored by a function of the user, as a recorded experiment."""
