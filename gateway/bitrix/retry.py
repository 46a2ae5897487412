"""The retry rules: whether a failed call is repeated, and when; pure."""

from dataclasses import dataclass

from gateway.bitrix.errors import AnswerTooLarge, OperatingLimitReached, OutcomeUnknown, PortalError

MAX_ATTEMPTS = 5
RETRY_DEADLINE_S = 240.0  # from the first attempt; later failures are not retried
FIRST_PAUSE_S = 1.0  # at most; at least half of it


@dataclass(frozen=True)
class RetryDecision:
    """How to react to a failure: repeat after *wait_s* seconds, or raise *error* if *wait_s* is None."""

    error: PortalError
    wait_s: float | None


def decide(error: PortalError, attempt: int, elapsed_s: float, write: bool, jitter: float) -> RetryDecision:
    """Decide about another attempt after number *attempt* (from 1), *elapsed_s* seconds into the call.

    A write is repeated only if the failed attempt certainly had no effect. Pauses double. *jitter*, from [0, 1), picks
    a point in the upper half of each pause, so that callers that failed together do not return together.

    After QUERY_LIMIT_EXCEEDED and OPERATION_TIME_LIMIT our limits delay the next attempt, so there is no pause, and
    only the deadline ends the attempts. Waits for operating time do not count towards the deadline; the number of
    attempts bounds them. AnswerTooLarge is final: the next answer would be as large.
    """
    if write and not error.not_executed and (error.retryable or isinstance(error, AnswerTooLarge)):
        return RetryDecision(OutcomeUnknown(error), None)
    if not error.retryable:
        return RetryDecision(error, None)
    if error.rate_limited:
        # Each of these attempts may have waited up to ten minutes.
        budget_exhausted = isinstance(error, OperatingLimitReached) and attempt >= MAX_ATTEMPTS
        repeat = elapsed_s <= RETRY_DEADLINE_S and not budget_exhausted
        return RetryDecision(error, 0.0 if repeat else None)
    pause_s = FIRST_PAUSE_S * 2 ** (attempt - 1) * (1 + jitter) / 2
    if attempt >= MAX_ATTEMPTS or elapsed_s + pause_s > RETRY_DEADLINE_S:
        return RetryDecision(error, None)
    return RetryDecision(error, pause_s)
