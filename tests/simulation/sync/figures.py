"""How many orders were missing in how many answers."""

from dataclasses import astuple, dataclass


@dataclass(slots=True)
class Figures:
    """Sums over the answers of one world, or of many.

    Attributes:
        lost_from_exports: orders that an export should have had; likewise for pages.
        removals: changes that report an order as removed.
    """

    changes: int = 0
    exports: int = 0
    marked_exports: int = 0
    incomplete_exports: int = 0
    lost_from_exports: int = 0
    pages: int = 0
    marked_pages: int = 0
    incomplete_pages: int = 0
    lost_from_pages: int = 0
    removals: int = 0
    false_removals: int = 0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __str__(self) -> str:
        return (
            f"{self.changes:,} changes of the list;"
            f" {self.exports:,} exports: {self.marked_exports:,} marked as inconsistent,"
            f" {self.incomplete_exports:,} of the others lack {self.lost_from_exports:,} orders;"
            f" {self.pages:,} pages: {self.marked_pages:,} marked,"
            f" {self.incomplete_pages:,} of the others lack {self.lost_from_pages:,} orders;"
            f" {self.removals:,} removals, {self.false_removals:,} of existing orders"
        )
