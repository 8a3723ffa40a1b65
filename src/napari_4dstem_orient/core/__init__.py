"""What everything stands on: three of the four nouns, errors, parameters, devices, memory and files."""
