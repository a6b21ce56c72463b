"""One job: what identifies it, what is known of it on disk, its stages and its files."""
