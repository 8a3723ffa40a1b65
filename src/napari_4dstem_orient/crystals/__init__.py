"""Crystals and their symmetry, and the patterns that they make: kinematic, and dynamical by Bloch waves."""
