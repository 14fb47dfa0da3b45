"""Remembers: record types, immutable parts, views, exports. The only package that knows SQL."""
