"""What a scheduler says: the job this process runs in, which jobs are alive, when one ends."""
