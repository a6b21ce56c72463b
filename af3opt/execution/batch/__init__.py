"""The jobs of one process: from the plan, through overlapping stages, to how each ended."""
