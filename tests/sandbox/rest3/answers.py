"""Checks of REST 3.0 answers."""

from tests.sandbox.client import Answer

PREFIX = "BITRIX_REST_V3_EXCEPTION_"


def refused(answer: Answer, status: int, name: str) -> bool:
    return answer.status == status and list(answer.body) == ["error"] and answer.error["code"] == PREFIX + name
