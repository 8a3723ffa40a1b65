"""Data: opens a scan, tells what it is, and runs all steps."""
