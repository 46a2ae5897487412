"""What lists cost a portal in time: a model to measure clients by, the same for all of them."""

from dataclasses import dataclass

from gateway.sandbox.query.listing import Effort


@dataclass(frozen=True)
class CostModel:
    """Seconds that a portal spends on a list command.

    Each takes *list_s*; one that counts (any ``start`` but -1) *counted_s_per_100k* more for every 100,000 rows of the
    table, filtered or not; an offset *skipped_s_per_1k* for every 1,000 rows it passes over. Commands of a batch take
    their time one after another, HTTP requests side by side. Other commands take none.
    """

    list_s: float = 0.040
    counted_s_per_100k: float = 0.060
    skipped_s_per_1k: float = 0.000_25

    def seconds(self, effort: Effort) -> float:
        return (
            self.list_s
            + self.counted_s_per_100k * effort.counted_rows / 100_000
            + self.skipped_s_per_1k * effort.skipped_rows / 1_000
        )
