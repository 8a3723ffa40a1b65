"""Overview: the steps and how far they are."""
