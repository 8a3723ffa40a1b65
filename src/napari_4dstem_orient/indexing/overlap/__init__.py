"""Looks for further crystals in the disks that the first leaves."""
