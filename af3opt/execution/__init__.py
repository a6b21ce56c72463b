"""From inputs to finished jobs: order, interruption, one job after another."""
