"""Downloads of the files of CRM records: the technical method behind the links of crm.item.

Source: methods.md, sections 5.7 and 8.4; protocol.md, section 17
"""

from gateway.sandbox.blobs import StoredFile
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.record_files import file_ids
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_id
from gateway.sandbox.rest2.file_addresses import GET_FILE, SCOPE
from gateway.sandbox.rest2.method import Answer, Call, Method


def get_file(call: Call) -> Answer:
    """Send the file of a ``urlMachine``, which is valid only with the credential for which it was made."""
    query = call.data.links.read_token(SCOPE, GET_FILE, call.sent.get("token"), call.request.credential or "")
    if query is None:
        raise CallError("ACCESS_DENIED", "Access denied! Link check failed", 403)
    type_id = as_id(query["entityTypeId"])
    return Answer(None, download=find_file(call.data, type_id, query["id"], query["fieldName"], query["fileId"]))


def find_file(data: PortalData, type_id: int, record_id: Value, field_name: Value, file_id: Value) -> StoredFile:
    """The file in a field of a record.

    Raises:
        CallError: nobody may read the records of this type, or there is no such file.
    """
    if type_id in data.denied:
        raise CallError("ACCESS_DENIED", "Access denied", 403)
    row = data.records[type_id].get(as_id(record_id)) if type_id in data.records else None
    fields = data.entities[type_id].fields(data.userfields) if row else ()
    number = str(as_id(file_id))
    known = file_ids(row or {}, [item for item in fields if item.name == field_name])
    file = data.record_files.get(number) if number in known else None
    if file is None:
        raise CallError("NOT_FOUND", "File not found", 404)
    return file


METHODS = (Method(GET_FILE.lower(), get_file, (SCOPE,), is_listed=False),)
