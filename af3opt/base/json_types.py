"""Names for what is read from JSON and written to it.

A file can hold anything, so the type of a field is checked where the field is read.
"""

from typing import Any

# Any value of JSON.
type Json = Any
# An object of JSON.
type JsonObject = dict[str, Json]
