"""Frozen image encoders, a file each, loaded by training.consistency.load_encoder."""
