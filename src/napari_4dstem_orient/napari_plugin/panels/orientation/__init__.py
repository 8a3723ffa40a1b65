"""Map: crystals, method and settings, and the run."""
