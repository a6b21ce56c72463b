"""Data the engine needs: component dictionary, libcifpp residues, synthetic weights."""
