"""The panel of samples: prompts down, steps across."""
