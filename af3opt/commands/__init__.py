"""The subcommands: one file each, found by its SUMMARY."""
