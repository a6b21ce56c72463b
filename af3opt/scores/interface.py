"""The scores of one interface, as they are computed, recorded and shown."""

import dataclasses

# Raised when a formula changes, so that scores recorded before are computed again.
FORMULAS = 1

# PAE is written to a tenth of an angstrom and pLDDT to a hundredth: further digits of what
# follows from them mean nothing.
_DIGITS = {"pair_iptm": 2, "pair_pae_min": 2, "buried_area": 1}
_SCORE_DIGITS = 4


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """Scores of one pair of chains; None where a score is not defined or cannot be computed.

    In names, `ab` is aligned on the first chain and scores the second, `ba` the reverse.

    Attributes:
        chains: Ids of the two chains, in the order of the structure.
        kinds: What they are: "protein", "DNA", "RNA", "DNA/RNA" or "ligand".
        ipsae_ab: See `ipsae`; for proteins and nucleic acids, as are all of ipSAE.
        ipsae_ba: The other direction.
        ipsae_d0chn_ab: See `ipsae`.
        ipsae_d0chn_ba: The other direction.
        ipsae_d0dom_ab: See `ipsae`.
        ipsae_d0dom_ba: The other direction.
        pdockq: See `pdockq`; between proteins.
        pdockq2_ab: See `pdockq`; between proteins.
        pdockq2_ba: The other direction.
        lis: See `lis`; for proteins and nucleic acids, as are the next two.
        clis: See `lis`.
        ilis: See `lis`.
        pair_iptm: The engine's ipTM of the pair.
        pair_pae_min: Smallest PAE between them in either direction, angstrom.
        contacts: Residue pairs in contact, see `contacts`.
        buried_area: Area they bury, both sides together, square angstroms, see `surface`.
    """

    chains: tuple[str, str]
    kinds: tuple[str, str]
    ipsae_ab: float | None = None
    ipsae_ba: float | None = None
    ipsae_d0chn_ab: float | None = None
    ipsae_d0chn_ba: float | None = None
    ipsae_d0dom_ab: float | None = None
    ipsae_d0dom_ba: float | None = None
    pdockq: float | None = None
    pdockq2_ab: float | None = None
    pdockq2_ba: float | None = None
    lis: float | None = None
    clis: float | None = None
    ilis: float | None = None
    pair_iptm: float | None = None
    pair_pae_min: float | None = None
    contacts: int | None = None
    buried_area: float | None = None

    @property
    def name(self) -> str:
        """The two chains, as in "A:B"."""
        return ":".join(self.chains)

    def smaller(self, score: str) -> float | None:
        """The smaller of a score's two directions, None unless both are defined."""
        pair = self._directions(score)
        return min(pair) if pair else None

    def larger(self, score: str) -> float | None:
        """The larger of a score's two directions, None unless both are defined."""
        pair = self._directions(score)
        return max(pair) if pair else None

    def rounded(self) -> "Interface":
        """The same with scores to four decimals, PAE and ipTM to two, the area to one."""
        scores = {
            field.name: round(value, _DIGITS.get(field.name, _SCORE_DIGITS))
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), float)
        }
        return Interface(chains=self.chains, kinds=self.kinds, contacts=self.contacts, **scores)

    def _directions(self, score: str) -> tuple[float, float] | None:
        first, second = getattr(self, f"{score}_ab"), getattr(self, f"{score}_ba")
        return None if first is None or second is None else (first, second)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceScores:
    """The interfaces of one sample, rounded, as the run record keeps them.

    Attributes:
        formulas: `FORMULAS` of the version that computed them.
        interfaces: One entry a pair of chains.
        files: Which files they were computed from, see `sample_files_digest`.
    """

    formulas: int
    interfaces: tuple[Interface, ...]
    files: str | None = None


def main_interface(interfaces: tuple[Interface, ...]) -> Interface | None:
    """The interface that stands for a sample where there is room for one.

    That with the highest ipSAE, the smaller of its directions; where that is not defined
    for any, with the highest ipTM of the pair, then with most contacts. None without any.
    """

    def order(interface: Interface) -> tuple[float, float, int]:
        values = (interface.smaller("ipsae"), interface.pair_iptm)
        ipsae, iptm = (-1.0 if value is None else value for value in values)
        return ipsae, iptm, interface.contacts or 0

    return max(interfaces, key=order, default=None)
