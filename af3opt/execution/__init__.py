"""From inputs to finished jobs: the batch, its rooms, and how it is interrupted."""
