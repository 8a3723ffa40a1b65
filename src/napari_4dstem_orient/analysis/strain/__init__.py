"""How the lattice of a grain is stretched and turned against its reference."""
