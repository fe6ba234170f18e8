"""Patterns to probabilities of the eight directions."""
