"""Writes the table of af3opt's own flags into README.md, from the options themselves."""

import sys
from pathlib import Path

from written_part import WrittenPart

from af3opt.benchmarks.markdown_rows import table_head, table_row
from af3opt.settings.catalogue import Option, all_options

PART = WrittenPart(
    Path(__file__).parent.parent / "README.md",
    "<!-- flags: written by scripts/write_flag_table.py -->",
    "<!-- end of flags -->",
)


def flag_table() -> str:
    """Returns a Markdown table of the flags that run_alphafold.py does not have."""
    own = [option for option in all_options().values() if not option.spec.upstream]
    rows = table_head("Flag", "Default", "Meaning")
    rows += [table_row((f"`--{one.name}`", _default(one), one.spec.help)) for one in own]
    return "\n".join(rows)


def _default(option: Option) -> str:
    return option.spec.default_text or option.to_text(option.default()) or "unset"


def main() -> int:
    """Rewrites README.md in place."""
    PART.write(flag_table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
