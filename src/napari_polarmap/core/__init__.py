"""Arrays in, arrays out: the physics and the statistics, on numpy and scipy alone."""
