"""Queue: many scans, one after the other."""
