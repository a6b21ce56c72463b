"""Writes the miniature databases beside this file, under the names AlphaFold 3 expects.

Run `python make_databases.py` to remake them. Relatives are point mutants of known
sequences and decoys are random, all from one fixed seed, so that the HMMER tools find
some sequences and reject others. The template's coordinates are an ideal helix.
"""

import math
import random
from pathlib import Path

DATABASES = Path(__file__).parent / "databases"

HUMAN_UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
YEAST_UBIQUITIN = "MQIFVKTLTGKTITLEVESSDTIDNVKSKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
HUMAN_NEDD8 = "MLIKVKTLTGKEIEIDIEPTDKVERIKERVEEKEGIPPQQQRLIYSGKQMNDEKTAADYKILGGSVLHLVLALRGG"
YEAST_TRNA_PHE = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
BASES = "ACGU"
SPECIES = ("HUMAN", "MOUSE", "YEAST", "ARATH", "DROME", "CAEEL")
TEMPLATE_ID = "9zzz"
RESIDUE_NAMES = "ALA CYS ASP GLU PHE GLY HIS ILE LYS LEU MET ASN PRO GLN ARG SER THR VAL TRP TYR"
THREE_LETTERS = dict(zip(AMINO_ACIDS, RESIDUE_NAMES.split(), strict=True))

type Vector = tuple[float, float, float]


def mutant(rng: random.Random, sequence: str, alphabet: str, changes: int) -> str:
    """Returns `sequence` with letters replaced at up to `changes` random places."""
    letters = list(sequence)
    for position in rng.sample(range(len(letters)), changes):
        letters[position] = rng.choice(alphabet)
    return "".join(letters)


def records(
    rng: random.Random, parents: tuple[str, ...], alphabet: str, prefix: str
) -> list[tuple[str, str]]:
    """Returns named sequences: the parents, twelve mutants and twelve random decoys."""
    sequences = list(parents)
    sequences += [
        mutant(rng, rng.choice(parents), alphabet, changes=rng.randint(2, 20)) for _ in range(12)
    ]
    sequences += ["".join(rng.choices(alphabet, k=rng.randint(60, 90))) for _ in range(12)]
    return [(f"{prefix}{number:04d}", sequence) for number, sequence in enumerate(sequences, 1)]


def write_fasta(name: str, entries: list[tuple[str, str]]) -> None:
    """Writes one database file."""
    text = "".join(f">{header}\n{sequence}\n" for header, sequence in entries)
    (DATABASES / name).write_text(text)


def helix_backbone(residues: int) -> list[dict[str, Vector]]:
    """Backbone of an alpha helix along z, one dictionary of atoms a residue.

    Cylindrical coordinates (radius in A, angle in degrees, height in A) of the atoms of
    one residue, and the turn and rise to the next. They follow from bond lengths of
    1.458, 1.525 and 1.329 A, angles of 111, 117.2 and 121.7 degrees, phi -57.8, psi -47.
    """
    turn, rise = 98.864, 1.548
    atoms = {
        "N": (1.572, -26.46, -0.922),
        "CA": (2.294, 0.0, 0.0),
        "C": (1.678, 26.98, 1.053),
        "O": (1.927, 20.58, 2.242),
        "CB": (3.348, 16.65, -0.765),
    }
    return [
        {
            atom: (
                radius * math.cos(math.radians(angle + turn * index)),
                radius * math.sin(math.radians(angle + turn * index)),
                height + rise * index,
            )
            for atom, (radius, angle, height) in atoms.items()
        }
        for index in range(residues)
    ]


def template_mmcif(sequence: str) -> str:
    """Returns an mmCIF file of one chain A with an ideal helix of `sequence`."""
    lines = [f"data_{TEMPLATE_ID.upper()}", "#", f"_entry.id {TEMPLATE_ID.upper()}", "#"]
    lines += ["_entity.id 1", "_entity.type polymer", "#"]
    lines += ["_entity_poly.entity_id 1", "_entity_poly.type 'polypeptide(L)'",
              "_entity_poly.pdbx_strand_id A", "#"]  # fmt: skip
    lines += ["_struct_asym.id A", "_struct_asym.entity_id 1", "#"]
    lines += ["_exptl.method 'THEORETICAL MODEL'", "_refine.ls_d_res_high 2.0", "#"]
    lines += ["_pdbx_audit_revision_history.ordinal 1",
              "_pdbx_audit_revision_history.revision_date 2010-01-01", "#"]  # fmt: skip
    scheme = "asym_id entity_id seq_id mon_id auth_seq_num pdb_strand_id pdb_ins_code hetero"
    lines += ["loop_", *(f"_pdbx_poly_seq_scheme.{field}" for field in scheme.split())]
    for number, letter in enumerate(sequence, 1):
        lines.append(f"A 1 {number} {THREE_LETTERS[letter]} {number} A . n")
    lines += ["#", "loop_"]
    lines += [f"_entity_poly_seq.{field}" for field in ("entity_id", "num", "mon_id", "hetero")]
    for number, letter in enumerate(sequence, 1):
        lines.append(f"1 {number} {THREE_LETTERS[letter]} n")
    site = (
        "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id "
        "label_entity_id label_seq_id pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy "
        "B_iso_or_equiv auth_seq_id auth_asym_id pdbx_PDB_model_num"
    )
    lines += ["#", "loop_", *(f"_atom_site.{field}" for field in site.split())]
    serial = 0
    for number, (letter, atoms) in enumerate(
        zip(sequence, helix_backbone(len(sequence)), strict=True), 1
    ):
        for atom, (x, y, z) in atoms.items():
            if letter == "G" and atom == "CB":
                continue
            serial += 1
            lines.append(
                f"ATOM {serial} {atom[0]} {atom} . {THREE_LETTERS[letter]} A 1 {number} ? "
                f"{x:.3f} {y:.3f} {z:.3f} 1.00 0.00 {number} A 1"
            )
    return "\n".join([*lines, "#", ""])


def main() -> None:
    """Writes every database."""
    rng = random.Random(20211)
    (DATABASES / "mmcif_files").mkdir(parents=True, exist_ok=True)
    parents = (HUMAN_UBIQUITIN, YEAST_UBIQUITIN, HUMAN_NEDD8)
    for name, prefix in (
        ("bfd-first_non_consensus_sequences.fasta", "BFD"),
        ("mgy_clusters_2022_05.fa", "MGYP"),
        ("uniref90_2022_05.fa", "UniRef90_X"),
    ):
        write_fasta(name, records(rng, parents, AMINO_ACIDS, prefix))
    # The species at the end of a UniProt name is what pairs chains of one organism.
    uniprot = [
        (f"sp|{name}|UB{index}_{SPECIES[index % len(SPECIES)]}", sequence)
        for index, (name, sequence) in enumerate(records(rng, parents, AMINO_ACIDS, "Q9A"))
    ]
    write_fasta("uniprot_all_2021_04.fa", uniprot)
    for name, prefix in (
        ("nt_rna_2023_02_23_clust_seq_id_90_cov_80_rep_seq.fasta", "NT"),
        ("rfam_14_9_clust_seq_id_90_cov_80_rep_seq.fasta", "RF"),
        ("rnacentral_active_seq_id_90_cov_80_linclust.fasta", "URS"),
    ):
        write_fasta(name, records(rng, (YEAST_TRNA_PHE,), BASES, prefix))
    write_fasta(
        "pdb_seqres_2022_09_28.fasta",
        [(f"{TEMPLATE_ID}_A mol:protein length:{len(HUMAN_NEDD8)}  MADE-UP HELIX", HUMAN_NEDD8)],
    )
    path = DATABASES / "mmcif_files" / f"{TEMPLATE_ID}.cif"
    path.write_text(template_mmcif(HUMAN_NEDD8))


if __name__ == "__main__":
    main()
