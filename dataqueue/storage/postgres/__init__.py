"""The PostgreSQL storage (15 and later)."""
