"""Template matching in torch."""
