"""The pip command for packages that af3opt can use and does not require."""

import functools
import importlib.metadata
import re
import shlex

_MARKER = re.compile(r"""^(?P<package>[^;]+?)\s*;\s*extra == ["'](?P<extra>[\w-]+)["']$""")


@functools.cache
def pip_install(extra: str) -> str:
    """Returns the command that installs what an extra of af3opt stands for.

    af3opt is on no package index, so its extras cannot be installed by name. The packages
    themselves can.

    Args:
        extra: Name of an extra in `pyproject.toml`, such as "report".
    """
    try:
        required = importlib.metadata.requires("af3opt") or []
    except importlib.metadata.PackageNotFoundError:  # It runs from a clone that is not installed.
        return f"pip install '.[{extra}]' in the directory of af3opt"
    found = [match for line in required if (match := _MARKER.match(line))]
    packages = [match["package"] for match in found if match["extra"] == extra]
    return f"pip install {shlex.join(packages)}"
