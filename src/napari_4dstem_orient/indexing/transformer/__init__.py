"""The transformer that reads disks as tokens, and the indexer around it."""
