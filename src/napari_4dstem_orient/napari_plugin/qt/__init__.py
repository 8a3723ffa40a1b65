"""Widgets that know no diffraction."""
