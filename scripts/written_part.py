"""The part of a document that a script writes, between two comments."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class WrittenPart:
    """A part of a document and where it lies.

    Attributes:
        document: The Markdown file.
        name: What the two comments call the part.
        script: Path of the script that writes it, for the first comment.
    """

    document: Path
    name: str
    script: str

    @property
    def begin(self) -> str:
        """The comment before the part, alone on its line."""
        return f"<!-- {self.name}: written by scripts/{Path(self.script).name} -->"

    @property
    def end(self) -> str:
        """The comment behind it."""
        return f"<!-- end of {self.name} -->"

    def replaced_in(self, text: str, content: str) -> str:
        """Returns the document's text with the part replaced.

        Args:
            text: Text of the document, or of a version of it.
            content: The new part.

        Raises:
            ValueError: the text lacks one of the comments.
        """
        head, begin, rest = text.partition(self.begin)
        _, end, tail = rest.partition(self.end)
        if not begin or not end:
            raise ValueError(f"{self.document.name} lacks the markers {self.begin}, {self.end}")
        return f"{head}{begin}\n{content}\n{end}{tail}"

    def write(self, content: str) -> None:
        """Replaces the part in the document itself."""
        text = self.document.read_text(encoding="utf-8")
        self.document.write_text(self.replaced_in(text, content), encoding="utf-8")
