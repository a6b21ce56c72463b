"""Writing results: upstream's file layout, atomically."""
