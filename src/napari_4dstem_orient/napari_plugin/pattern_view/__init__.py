"""One pattern with marks: what they mean, and how they are painted and saved."""
