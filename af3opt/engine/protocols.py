"""What af3opt uses of the engine's objects, as types.

The engine has no stubs, and its classes differ between releases, so its objects are described
by what is read of them. The aliases stand for values that have no useful static type: what is
an array in a run of JAX is a tracer while the model is traced and a shape before, and a module
of the engine has the attributes that its configuration gives it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import Field
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

# An array of JAX or numpy, a tracer or a shape.
type Array = Any
# Nested containers or data classes of arrays, as `jax.tree` takes them.
type Tree = Any
# A haiku module of the engine.
type Module = Any
# A node of the engine's configuration of the model; fields are looked up by name.
type ModelConfig = Any
# A function of the engine or what stands in for it, with the signature of its release.
type EngineFunction = Callable[..., Any]
# What is handed on to a function of the engine as it came.
type Argument = Any
# What a JAX backend calls a device.
type Device = Any
# A featurised example: feature name -> array (some are 0-d object arrays).
type Batch = dict[str, NDArray[Any]]
# Features as the model takes them: name -> numeric array.
type Features = Mapping[str, Array]
# Scope -> name -> array.
type Parameters = Mapping[str, Mapping[str, Array]]
# What a forward pass gives: nested mappings of arrays, and the weights' identifier.
type ModelResult = Mapping[str, Any]
# An object of RDKit, whose stubs are incomplete.
type Molecule = Any
# The engine's `Ccd`: component code -> category.item -> values.
type ComponentDictionary = Mapping[str, Mapping[str, Sequence[str]]]
# A class method as its class holds it, or what stands in for it.
type Descriptor = Any


class Executable(Protocol):
    """A compiled program: `jax.stages.Compiled`."""

    def __call__(self, params: Parameters, key: Array, batch: Features, /) -> ModelResult:
        """Runs it."""

    def memory_analysis(self) -> Any:
        """What it needs, as far as the backend tells."""

    def as_text(self) -> str | None:
        """The optimised program."""


class AtomLayout(Protocol):
    """The engine's layout: which atom each place holds, "" for none."""

    atom_name: NDArray[Any]
    res_id: NDArray[Any]
    chain_id: NDArray[Any]
    atom_element: NDArray[Any] | None
    res_name: NDArray[Any] | None
    chain_type: NDArray[Any] | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the columns."""


class PaddingShapes(Protocol):
    """The engine's sizes of a padded batch."""

    num_tokens: int


class ComponentEntry(Protocol):
    """A component of a structure of its own."""

    pdbx_smiles: str | None


class ChemicalComponents(Protocol):
    """The components that a structure brings."""

    chem_comp: Mapping[str, ComponentEntry] | None


class GatherInfo(Protocol):
    """The engine's table of where in one layout each place of another is found."""

    gather_idxs: Array
    gather_mask: Array
    input_shape: Array


class Structure(Protocol):
    """The engine's `Structure`: atoms of one or several models, as columns."""

    chain_id: NDArray[Any]
    res_id: NDArray[Any]
    res_name: NDArray[Any]
    atom_name: NDArray[Any]
    atom_b_factor: NDArray[Any]
    coords: NDArray[np.floating[Any]]

    @property
    def chains(self) -> Sequence[str]:
        """Names of its chains in order."""

    def filter(self, *, chain_id: Collection[str] | str) -> Self:
        """The chains of these names."""

    def filter_to_entity_type(
        self,
        *,
        protein: bool = False,
        rna: bool = False,
        dna: bool = False,
        dna_rna_hybrid: bool = False,
        ligand: bool = False,
        water: bool = False,
    ) -> Self:
        """The chains of these kinds."""

    def num_residues(self, *, count_unresolved: bool) -> int:
        """Number of residues."""

    def iter_atoms(self) -> Iterable[Mapping[str, Any]]:
        """Each atom with what its chain and residue say."""

    def unstack(self) -> Sequence[Self]:
        """Its models, one structure each."""

    def to_mmcif_dict(self) -> "CifDict":
        """Its mmCIF data block."""


class CifDict(Protocol):
    """The engine's mmCIF data block: item -> values."""

    def __getitem__(self, item: str, /) -> Sequence[str]:
        """The values of an item."""

    def copy_and_update(self, changed: Mapping[str, Sequence[str]], /) -> "CifDict":
        """A copy with other values."""

    def to_string(self) -> str:
        """The text of an mmCIF file."""


class InferenceResult(Protocol):
    """The engine's `model.InferenceResult`: one diffusion sample after post-processing."""

    predicted_structure: Structure
    numerical_data: Mapping[str, Any]
    metadata: Mapping[str, Any]
    model_id: bytes


class Chain(Protocol):
    """A chain of an input; polymers and ligands have further fields of their own."""

    @property
    def id(self) -> str:
        """Its name."""

    def __len__(self) -> int:
        """Number of residues."""

    def to_dict(self, *, seq_id: str) -> Mapping[str, Any]:
        """Its part of the input's JSON."""


class PolymerChain(Chain, Protocol):
    """A chain that is searched for."""

    @property
    def sequence(self) -> str:
        """One letter a residue."""

    @property
    def unpaired_msa(self) -> str | None:
        """A3M, "" for none, None if it is to be searched."""


class ProteinChain(PolymerChain, Protocol):
    """A protein."""

    @property
    def paired_msa(self) -> str | None:
        """See `unpaired_msa`."""

    @property
    def templates(self) -> Sequence[Any] | None:
        """The engine's templates, None if they are to be searched."""


class PipelineConfig(Protocol):
    """The engine's `DataPipelineConfig`, a data class: programs, databases and options."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def pdb_database_path(self) -> str:
        """Directory of the templates' structures."""


class FoldInput(Protocol):
    """The engine's `folding_input.Input`, a data class."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def name(self) -> str:
        """The job's name."""

    @property
    def chains(self) -> Sequence[Any]:
        """Polymers and ligands; which fields one has depends on its kind."""

    @property
    def protein_chains(self) -> Sequence[ProteinChain]:
        """The proteins among them."""

    @property
    def rna_chains(self) -> Sequence[PolymerChain]:
        """The RNAs among them."""

    @property
    def rng_seeds(self) -> Sequence[int]:
        """Model seeds."""

    @property
    def bonded_atom_pairs(self) -> Sequence[Sequence[tuple[str, int, str]]] | None:
        """Bonds between chains or within ligands, by chain, residue and atom."""

    @property
    def user_ccd(self) -> str | None:
        """Components of the job in mmCIF."""

    def fill_missing_fields(self) -> Self:
        """The same with empty MSAs and templates where there are none."""

    def sanitised_name(self) -> str:
        """The name as upstream uses it in file names."""

    def to_json(self) -> str:
        """The input in AlphaFold 3's dialect."""

    def with_multiple_seeds(self, num_seeds: int) -> Self:
        """The same with seeds counted on from its only one."""
