"""Reads scans, peaks and results, and writes results."""
