"""Whether a failed call is made again, and when; pure."""

from dataclasses import dataclass

from gateway.bitrix.errors import AnswerTooLarge, OperatingLimitReached, OutcomeUnknown, PortalError

MAX_TRIES = 5
RETRY_DEADLINE_S = 240.0
FIRST_PAUSE_S = 1.0


@dataclass(frozen=True)
class RetryDecision:
    """What to do about a failure: pause for *wait_s* and try again, or raise *error* where that is None."""

    error: PortalError
    wait_s: float | None


def decide(error: PortalError, attempt: int, elapsed_s: float, write: bool, jitter: float) -> RetryDecision:
    """Decide after try number *attempt* (from 1), *elapsed_s* seconds into the call; *jitter* is from [0, 1).

    Pauses double, each drawn from the upper half of its step, so that callers who failed together come back apart.
    Where one of our limits does the waiting (QUERY_LIMIT_EXCEEDED, OPERATION_TIME_LIMIT) there is no pause of its own,
    and tries are bounded by the deadline; those for operating time, whose waiting does not count against it, by their
    number as well. A write is repeated only when it provably did not run. An answer that is too large would be again.
    """
    if write and not error.not_executed and (error.retryable or isinstance(error, AnswerTooLarge)):
        return RetryDecision(OutcomeUnknown(error), None)
    if not error.retryable:
        return RetryDecision(error, None)
    if error.rate_limited:
        rested_enough = isinstance(error, OperatingLimitReached) and attempt >= MAX_TRIES  # each took up to ten minutes
        again = elapsed_s <= RETRY_DEADLINE_S and not rested_enough
        return RetryDecision(error, 0.0 if again else None)
    pause_s = FIRST_PAUSE_S * 2 ** (attempt - 1) * (1 + jitter) / 2
    if attempt >= MAX_TRIES or elapsed_s + pause_s > RETRY_DEADLINE_S:
        return RetryDecision(error, None)
    return RetryDecision(error, pause_s)
