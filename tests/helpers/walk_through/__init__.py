"""The whole job in a real window, as a user does it: a test, and the maker of the pictures in docs/images.

``chapters.STORY`` is the walk, ``hands`` are what it clicks with, ``stalls`` says how long the window did not answer,
``read_back`` opens what it exported.
"""
