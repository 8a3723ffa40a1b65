"""Detection: probe, settings, and disks of some positions before those of all."""
