"""What has been computed, by key, and the long runs that compute it."""
