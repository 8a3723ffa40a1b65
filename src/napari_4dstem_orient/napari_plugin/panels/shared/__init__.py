"""What several panels need."""
