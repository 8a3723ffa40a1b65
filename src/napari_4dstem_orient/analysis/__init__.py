"""What a map says: channels and colours, grains, boundaries, pole figures, strain, and two maps compared."""
