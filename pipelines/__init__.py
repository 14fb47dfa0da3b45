"""Puts crawler, filters and catalog together: recipes, stages, the flows, the command line."""
