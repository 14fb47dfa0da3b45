"""Asks Wikimedia Commons, politely; never decides what to keep."""
