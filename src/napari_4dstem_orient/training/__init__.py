"""From a CIF to a model: simulated patterns, the trainer, its budget, and how right the model is."""
