"""Compares hypotheses with the disks, whatever the crystal, and corrects them."""
