"""How fast the program is on this machine: beside py4DSTEM in the same run, and beside what the hardware can do."""
