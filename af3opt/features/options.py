"""What decides the features of an input besides the input itself."""

import dataclasses
import datetime
import inspect
import logging
from collections.abc import Mapping
from typing import Self

from af3opt.base.json_types import Json
from af3opt.engine.protocols import Argument, EngineFunction
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FeatureOptions:
    """Arguments of the engine's `featurise_input`, by its names.

    Attributes:
        buckets: Token counts to pad to, strictly increasing; None pads to the
            number of tokens itself.
        ref_max_modified_date: Components changed before this date may fall back
            to their model coordinates.
        conformer_max_iterations: Limit of RDKit's conformer search; None is its own.
        resolve_msa_overlaps: Whether unpaired rows that are paired too are dropped.
        fix_standalone_glycans: Whether unbonded glycans keep their leaving atoms.
    """

    buckets: tuple[int, ...] | None = None
    ref_max_modified_date: datetime.date | None = None
    conformer_max_iterations: int | None = None
    resolve_msa_overlaps: bool = True
    fix_standalone_glycans: bool = False

    @classmethod
    def from_settings(cls, settings: Settings, buckets: tuple[int, ...] | None) -> Self:
        """Takes the options from the settings of a run.

        Args:
            settings: All settings.
            buckets: Token counts to pad to, after defaults were filled in.
        """
        return cls(
            buckets=buckets,
            ref_max_modified_date=datetime.date.fromisoformat(settings.max_template_date),
            conformer_max_iterations=settings.conformer_max_iterations,
            resolve_msa_overlaps=settings.resolve_msa_overlaps,
            fix_standalone_glycans=settings.fix_standalone_glycans,
        )

    def arguments_for(self, featurise_input: EngineFunction) -> dict[str, Argument]:
        """Returns the keyword arguments that the engine's function knows.

        An option that it does not know is left out; one that was changed from its
        default is warned about, because it will have no effect.
        """
        accepted = inspect.signature(featurise_input).parameters
        arguments: dict[str, Argument] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in accepted:
                arguments[field.name] = value
            elif value != field.default and field.name != "ref_max_modified_date":
                _log.warning(
                    "--%s has no effect here: the installed engine cannot do it", field.name
                )
        return arguments

    def material(self) -> Mapping[str, Json]:
        """Returns the options that decide seed-independent features, as plain JSON.

        The padded size stands for the buckets there, and the iteration limit only
        concerns single seeds, so neither is included.
        """
        date = self.ref_max_modified_date
        return {
            "ref_max_modified_date": date.isoformat() if date is not None else None,
            "resolve_msa_overlaps": self.resolve_msa_overlaps,
            "fix_standalone_glycans": self.fix_standalone_glycans,
        }
