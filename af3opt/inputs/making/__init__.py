"""Making AlphaFold 3 inputs: from sequence files, tables, ligand lists and the other dialect."""
