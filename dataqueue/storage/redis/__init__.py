"""The storage in Redis 6.2 and later, Valkey, or a cluster of either: a script a verb, a hash slot a namespace."""
