"""A release to the Hub: export, push, and the purge of what was taken down."""
