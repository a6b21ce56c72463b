"""What every part may use: errors, paths, logs, atomic files, digests."""
