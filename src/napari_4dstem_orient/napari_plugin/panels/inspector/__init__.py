"""Inspector: one pattern with what was measured in it and what is predicted."""
