"""Running the model: devices, weights, executables, memory, results."""
