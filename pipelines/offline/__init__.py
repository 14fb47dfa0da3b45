"""Decisions again from stored facts: refilter and what-if, without network and models."""
