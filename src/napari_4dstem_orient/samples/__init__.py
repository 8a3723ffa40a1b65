"""The two bundled samples."""
