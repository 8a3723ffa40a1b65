"""Calibration: what is known of the detector, and the figures that find the rest."""
