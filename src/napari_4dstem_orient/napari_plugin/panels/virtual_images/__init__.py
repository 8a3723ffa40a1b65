"""Virtual images: detectors that are drawn on a pattern."""
