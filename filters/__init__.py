"""Measures images, then judges them: pure functions of facts and of a recipe's settings."""
