"""The command's options: one typed field each, the single source of flags, presets and help."""
