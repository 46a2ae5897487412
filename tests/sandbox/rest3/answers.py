"""What tests of REST 3.0 ask of an answer."""

from tests.sandbox.client import Answered

PREFIX = "BITRIX_REST_V3_EXCEPTION_"


def refused(answer: Answered, status: int, name: str) -> bool:
    return answer.status == status and list(answer.body) == ["error"] and answer.error["code"] == PREFIX + name
