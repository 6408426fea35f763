"""What a process counts of itself, and how Prometheus reads it. Nothing here is global: a process counts for itself."""
