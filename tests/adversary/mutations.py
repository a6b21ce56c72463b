"""Ways in which a file or directory of a cache may go bad, by accident or on purpose."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.other_user import give_away

type Mutation = Callable[[Path, Path, random.Random], None]


def _keeping_time(path: Path, content: bytes) -> None:
    """Writes as failing memory or a disk does: the time stays."""
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def zero(path: Path, secret: Path, generator: random.Random) -> None:
    """All bytes are zero."""
    _keeping_time(path, bytes(path.stat().st_size))


def flip(path: Path, secret: Path, generator: random.Random) -> None:
    """One bit is another."""
    content = bytearray(path.read_bytes())
    if content:
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    _keeping_time(path, bytes(content))


def shift(path: Path, secret: Path, generator: random.Random) -> None:
    """A stretch of bytes is missing in the middle, and as many follow at the end."""
    content = path.read_bytes()
    start = generator.randrange(len(content) + 1)
    length = generator.randrange(1, 100)
    _keeping_time(path, content[:start] + content[start + length :] + bytes(length))


def junk(path: Path, secret: Path, generator: random.Random) -> None:
    """Anything at all."""
    path.write_bytes(generator.randbytes(generator.randrange(10_000)))


def deep(path: Path, secret: Path, generator: random.Random) -> None:
    """JSON that no parser can follow."""
    path.write_bytes(generator.choice([b"[", b'{"a":']) * 100_000)


def infinite(path: Path, secret: Path, generator: random.Random) -> None:
    """Numbers that are none, or of another type, where there were some."""
    other = generator.choice([b"Infinity", b"NaN", b"1e999", b"-1", b"null", b'"x"', b"[]"])
    content = path.read_bytes()
    for digit in range(10):
        content = content.replace(b": %d" % digit, b": " + other, 1)
    path.write_bytes(content)


def truncate(path: Path, secret: Path, generator: random.Random) -> None:
    """The end is missing."""
    os.truncate(path, generator.randrange(path.stat().st_size + 1))


def huge(path: Path, secret: Path, generator: random.Random) -> None:
    """A terabyte of nothing follows."""
    os.truncate(path, 1 << 40)


def gone(path: Path, secret: Path, generator: random.Random) -> None:
    """It is not there."""
    path.unlink()


def fifo(path: Path, secret: Path, generator: random.Random) -> None:
    """A pipe into which nobody writes."""
    path.unlink()
    os.mkfifo(path)


def link(path: Path, secret: Path, generator: random.Random) -> None:
    """A link to a private file of the victim."""
    path.unlink()
    path.symlink_to(secret)


def dangling(path: Path, secret: Path, generator: random.Random) -> None:
    """A link to a file that writing would make."""
    path.unlink()
    path.symlink_to(secret.with_name("made"))


def directory(path: Path, secret: Path, generator: random.Random) -> None:
    """A directory with something in it."""
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("x")


def foreign(path: Path, secret: Path, generator: random.Random) -> None:
    """Another user's, with content that may be anything."""
    if not path.is_dir() and generator.random() < 0.5:
        flip(path, secret, generator)
    give_away(path)


def open_to_all(path: Path, secret: Path, generator: random.Random) -> None:
    """Everybody may write to it."""
    path.chmod(0o777 if path.is_dir() else 0o666)


def emptied(path: Path, secret: Path, generator: random.Random) -> None:
    """A directory without its content."""
    for inner in path.iterdir():
        shutil.rmtree(inner) if inner.is_dir() else inner.unlink()


def replaced(path: Path, secret: Path, generator: random.Random) -> None:
    """A file where a directory was."""
    shutil.rmtree(path)
    path.write_text("in the way")


OF_FILES: tuple[Mutation, ...] = (
    zero, flip, shift, junk, deep, infinite, truncate, huge, gone, fifo, link, dangling,
    directory, open_to_all,
)  # fmt: skip
OF_DIRECTORIES: tuple[Mutation, ...] = (open_to_all, emptied, replaced)
