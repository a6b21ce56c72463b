"""The store behind every cache: content-addressed, checksummed, safe to kill."""
