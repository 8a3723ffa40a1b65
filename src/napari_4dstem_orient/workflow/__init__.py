"""A job from its scan to its map: chunks, cluster and store; sessions, projects, scripts and batches."""
