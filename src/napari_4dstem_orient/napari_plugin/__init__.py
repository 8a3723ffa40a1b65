"""The window: the only folder that knows Qt and napari."""
