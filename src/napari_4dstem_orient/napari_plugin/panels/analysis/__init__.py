"""Analysis: pole figures, misorientations, grains and strain."""
