"""Photographs of your own: label a folder, find twins, score pairs, open a release. No network, no catalog, no torch.

`pipelines.photos.api` is what Python sees of it, `lucidlr label` what a terminal does.
"""
