"""Compare: two maps of one scan."""
