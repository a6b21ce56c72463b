"""The site's own `run_alphafold.py`, with af3opt's stages under it."""
