"""What this machine is: cores, control groups, GPUs."""
