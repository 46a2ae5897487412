"""Text that must not be seen by accident."""


class Secret(str):
    """A string that shows its size instead of itself wherever a repr is printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<secret of {len(self)} characters>"
