"""The panels; they know the session, never each other."""
