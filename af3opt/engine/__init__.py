"""The only package that imports `alphafold3`: discovery, probes, adapter."""
