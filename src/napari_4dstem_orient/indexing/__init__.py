"""From disks to orientations: the methods, and the verification that ranks and refines their answers."""
