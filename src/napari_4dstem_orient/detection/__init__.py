"""From patterns to Bragg disks: the probe, suggested settings, disks, and virtual images beside them."""
