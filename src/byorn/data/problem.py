"""What is wrong with one row, in the three parts that a user needs."""

from byorn.errors import DataError


class RowProblem(DataError):
    """One row cannot be used.

    Attributes:
        field: The column or message at fault, as the user wrote it.
        reason: What is wrong with it.
        fix: What the user can do.
    """

    def __init__(self, field: str, reason: str, fix: str) -> None:
        super().__init__(f"{field}: {reason}; {fix}")
        self.field = field
        self.reason = reason
        self.fix = fix
