"""Adapters for other programs: PEFT's names and configuration, a model card, merged models, the Hugging Face Hub."""
