"""Reads the exported dataset, never the catalog."""
