"""Flags that one command has besides those of `af3opt run`."""

from collections.abc import Sequence

from af3opt.base.errors import UsageError


def take_flag(argv: Sequence[str], flag: str, value_is: str) -> tuple[str | None, list[str]]:
    """Takes a flag with a value off a command line.

    Args:
        argv: The command line, with `flag=value` or `flag value` anywhere in it.
        flag: Such as "--slurm".
        value_is: What the value is, for the message, such as "a directory".

    Returns:
        The flag's last value, or None when it is not given, and all other words.

    Raises:
        UsageError: the flag has no value.
    """
    value: str | None = None
    rest = []
    words = iter(argv)
    for word in words:
        name, equals, text = word.partition("=")
        if name != flag:
            rest.append(word)
            continue
        value = text if equals else next(words, "")
        if not value:
            raise UsageError(f"{flag} needs {value_is}")
    return value, rest


def take_switch(argv: Sequence[str], flag: str) -> tuple[bool, list[str]]:
    """Takes a flag without a value off a command line.

    Args:
        argv: The command line.
        flag: Such as "--resubmit".

    Returns:
        Whether the flag is given, and all other words.
    """
    return flag in argv, [word for word in argv if word != flag]
