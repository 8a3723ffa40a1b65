"""Training: a model from a CIF file."""
