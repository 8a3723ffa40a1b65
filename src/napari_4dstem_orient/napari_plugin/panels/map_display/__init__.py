"""Map display: which crystal, channel and answers the layers show."""
