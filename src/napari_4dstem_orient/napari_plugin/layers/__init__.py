"""Maps, grains and the cursor as napari's layers."""
