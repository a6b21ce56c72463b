"""Features: computed once for all seeds, kept on disk, made in parallel."""
