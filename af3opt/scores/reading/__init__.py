"""Reading result files: which there are, their structures, confidences and tokens."""
