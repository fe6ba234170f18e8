"""The order of the steps: from a scan to its map, from simulated patterns to a classifier."""
