"""A model of the time that lists take on a portal, for comparing clients."""

from dataclasses import dataclass

from gateway.sandbox.query.listing import Effort


@dataclass(frozen=True)
class CostModel:
    """Seconds that a portal spends on a list command.

    Each list takes *list_s*. A list that counts (any ``start`` except -1) takes *counted_s_per_100k* more per 100,000
    rows of the table, filtered or not. An offset takes *skipped_s_per_1k* per 1,000 skipped rows. Commands of a batch
    run one after another, HTTP requests in parallel. Other commands take no time.
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
