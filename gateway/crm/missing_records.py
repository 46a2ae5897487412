"""Names the record or the type that a portal does not have, which the portal's own words leave out."""

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.bitrix.errors import RecordNotFound
from gateway.mirror.resources import Resource


@contextmanager
def naming(resource: Resource, row_id: int) -> Iterator[None]:
    """Name the record *row_id* of *resource* in the error if the portal does not have it.

    Raises:
        RecordNotFound: as the block does, with a sentence that names the record.
    """
    with naming_missing(f"record {row_id} of {resource.name}"):
        yield


@contextmanager
def naming_missing(subject: str) -> Iterator[None]:
    """As `naming`, for any *subject*."""
    try:
        yield
    except RecordNotFound as error:
        sentence = f"the portal has no {subject}"
        raise RecordNotFound(error.portal_code, error.description, error.status, message=sentence) from error
