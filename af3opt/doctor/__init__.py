"""What `af3opt doctor` looks at; see `examination` for how and in which order."""
