"""What can be read from one sample that the engine extracted."""

from af3opt.engine.protocols import InferenceResult
from af3opt.engine.structures import polymer_chain_types, standard_residues
from af3opt.output.pdb import PdbAtom


def pdb_atoms(sample: InferenceResult) -> list[PdbAtom]:
    """Lists the atoms of a predicted structure for `af3opt.output.pdb`."""
    standard, polymers = standard_residues(), polymer_chain_types()
    return [
        PdbAtom(
            is_hetero=not (atom["chain_type"] in polymers and atom["res_name"] in standard),
            name=str(atom["atom_name"]),
            residue_name=str(atom["res_name"]),
            chain_id=str(atom["chain_id"]),
            residue_number=int(atom["res_id"]),
            x=float(atom["atom_x"]),
            y=float(atom["atom_y"]),
            z=float(atom["atom_z"]),
            occupancy=float(atom["atom_occupancy"]),
            b_factor=float(atom["atom_b_factor"]),
            element=str(atom["atom_element"]),
        )
        for atom in sample.predicted_structure.iter_atoms()
    ]
