"""One module for each family of 4D-STEM files.

Each has ``NAME``, ``SUFFIXES``, ``matches(path) -> bool`` and ``read(path, voltage) -> list[Source]``;
``voltage`` (kV or None) is what the user typed, for files that store detector pixels as angles.
"""
