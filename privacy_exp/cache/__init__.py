"""What has been computed already: content keys, locks, atomic writes and pruning."""
