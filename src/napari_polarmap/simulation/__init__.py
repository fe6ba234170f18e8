"""Diffraction patterns with known polarization, by multislice."""
