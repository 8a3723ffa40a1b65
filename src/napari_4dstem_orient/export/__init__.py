"""A map as files for other programs, one module for each kind."""
