"""Job names: upstream's rule for files, and which names cannot be used."""

import re
import string
from collections.abc import Collection

from af3opt.inputs.findings import Place, shown, type_name

NAME_CHARACTERS = frozenset(string.ascii_letters + string.digits + "_-.")

# As the directories of a job's samples.
_SAMPLE = re.compile(r"seed-[0-9]+_sample-[0-9]+.*")
# The longest name of a file that file systems take, in bytes.
_MOST_BYTES = 255
# Upstream's default.
_USUAL_SAMPLES = 5


def sanitised_name(name: str) -> str:
    """Turns a job name into a file name, by upstream's rule.

    Spaces become underscores; anything but ASCII letters, digits, `_`, `-` and `.`
    is dropped (source: `folding_input.Input.sanitised_name`).
    """
    return "".join(letter for letter in name.replace(" ", "_") if letter in NAME_CHARACTERS)


def is_sample_name(name: str) -> bool:
    """Tells whether a directory of this name would look like that of a sample of a job.

    Args:
        name: A sanitised name.
    """
    return _SAMPLE.fullmatch(name) is not None


def longest_name(largest_seed: int, samples: int = _USUAL_SAMPLES) -> int:
    """Returns how many characters a sanitised name may have so that all files can be written.

    Args:
        largest_seed: Largest seed of the job.
        samples: Diffusion samples of a seed.
    """
    longest = f"_seed-{largest_seed}_sample-{samples - 1}_summary_confidences.json"
    return _MOST_BYTES - len(longest)


def check_name(name: object, place: Place, seeds: Collection[int] = ()) -> None:
    """Finds out whether a value can be a job's name.

    Args:
        name: Value of the field.
        place: Place of the job.
        seeds: Seeds of the job; they are part of file names.
    """
    field = place.inside("name")
    if not isinstance(name, str):
        field.refuse(f"give a text, not {type_name(name)}")
    elif not (name.strip() and sanitised_name(name)):
        field.refuse(
            f"{shown(name)} has no character that a file name can have; give it letters, digits, "
            "dots, dashes or underscores"
        )
    elif len(sanitised_name(name)) > longest_name(max(seeds, default=0)):
        field.refuse(
            f"{shown(name)} has {len(sanitised_name(name))} characters; file names are made of it, "
            f"so give at most {longest_name(max(seeds, default=0))}"
        )
    elif any(0xD800 <= ord(letter) <= 0xDFFF for letter in name):
        field.refuse(f"{shown(name)} holds half a character (a lone surrogate); correct it")
