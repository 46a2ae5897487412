"""The REST methods that the gateway itself calls: one entry of METHOD_USES for all methods of one use.

To call another method, add it here, and to the table in the README ("How the gateway calls Bitrix24").
tests/bitrix/monitoring/test_methods.py compares both with the code.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class MethodUse:
    """What some methods are called for.

    *scope* is the permission that a credential needs for them, None if any will do. *module* is the one that names the
    methods, or their last part if they are the same method of several kinds of records.
    """

    methods: tuple[str, ...]
    purpose: str
    scope: str | None
    module: str


def _use(methods: str, purpose: str, *, scope: str | None, module: str) -> MethodUse:
    return MethodUse(tuple(methods.split()), purpose, scope, module)


# Source of the scopes: methods.md, "Cross-check of scopes" (b24restdocs api-reference/scopes/permissions.md)
METHOD_USES: tuple[MethodUse, ...] = (
    _use("batch", "send up to 50 calls in one request", scope=None, module="gateway.bitrix.client"),
    _use("scope", "check the address of a new webhook", scope=None, module="gateway.accounts.service"),
    _use(
        "profile", "try a stale webhook again; ask who opens a widget", scope=None, module="gateway.accounts.recovery"
    ),
    _use("disk.folder.uploadfile", "upload a file", scope="disk", module="gateway.disk.uploads"),
    _use("upload", "receive a file in two steps", scope="disk", module="gateway.bitrix.file_transfers"),
    _use(
        "download",
        "give the content of a file of Disk or of a record",
        scope="disk",
        module="gateway.bitrix.file_transfers",
    ),
    _use(
        "disk.folder.getchildren",
        "list a folder; find a file that was not answered",
        scope="disk",
        module="gateway.disk.drive",
    ),
    _use("disk.storage.getlist", "list the storages of Disk", scope="disk", module="gateway.disk.drive"),
    _use("disk.storage.get", "show a storage of Disk", scope="disk", module="gateway.disk.drive"),
    _use("disk.folder.get", "show a folder of Disk", scope="disk", module="gateway.disk.drive"),
    _use("disk.folder.addsubfolder", "make a folder", scope="disk", module="gateway.disk.drive"),
    _use("disk.file.get", "show a file of Disk; find its content", scope="disk", module="gateway.disk.drive"),
    _use("disk.file.rename", "rename a file", scope="disk", module="gateway.disk.drive"),
    _use("disk.file.moveto", "move a file", scope="disk", module="gateway.disk.drive"),
    _use("disk.file.markdeleted", "put a file into the trash", scope="disk", module="gateway.disk.drive"),
    _use("disk.file.delete", "delete a file for good", scope="disk", module="gateway.disk.drive"),
    _use("placement.bind", "install a widget", scope="placement", module="gateway.widgets.placements"),
    _use("placement.unbind", "remove a widget", scope="placement", module="gateway.widgets.placements"),
    _use(
        "placement.get",
        "check the placements of widgets after a start and a connection",
        scope="placement",
        module="gateway.widgets.placements",
    ),
    _use("user.get", "mirror and stream users", scope="user", module="gateway.mirror.resources"),
    _use("user.fields", "check a filter of users", scope="user", module="gateway.bitrix.lists.field_rules"),
    _use(
        "crm.status.list",
        "mirror stages and other directories; find a stage by its name; check the values of directories; "
        "list the types of contacts",
        scope="crm",
        module="gateway.mirror.resources",
    ),
    _use(
        "crm.currency.list",
        "check the currencies that are written to records",
        scope="crm",
        module="gateway.crm.directories",
    ),
    _use(
        "crm.category.list",
        "mirror pipelines; check the pipeline of a record that is written",
        scope="crm",
        module="gateway.mirror.resources",
    ),
    _use(
        "crm.lead.userfield.list crm.deal.userfield.list crm.contact.userfield.list crm.company.userfield.list"
        " crm.quote.userfield.list crm.invoice.userfield.list crm.requisite.userfield.list",
        "mirror custom fields",
        scope="crm",
        module="gateway.mirror.resources",
    ),
    _use(
        "userfieldconfig.list",
        "mirror the custom fields of invoices",
        scope="userfieldconfig, crm",
        module="gateway.mirror.resources",
    ),
    _use("crm.type.list", "list the smart processes", scope="crm", module="gateway.crm.catalog"),
    _use("crm.type.getByEntityTypeId", "get a smart process", scope="crm", module="gateway.crm.catalog"),
    _use(
        "crm.lead.list crm.deal.list crm.contact.list crm.company.list crm.quote.list crm.item.list",
        "mirror and stream records; find a record that was created although the answer was lost",
        scope="crm",
        module="gateway.mirror.resources",
    ),
    _use(
        "crm.lead.fields crm.deal.fields crm.contact.fields crm.company.fields crm.quote.fields crm.item.fields",
        "check names and values; show the fields",
        scope="crm",
        module="gateway.mirror.resources",
    ),
    _use(
        "crm.lead.get crm.deal.get crm.contact.get crm.company.get crm.quote.get crm.item.get",
        "read a record; find out whether a change whose answer was lost was carried out",
        scope="crm",
        module="gateway.crm.writes",
    ),
    _use(
        "crm.lead.add crm.deal.add crm.contact.add crm.company.add crm.quote.add crm.item.add",
        "create a record",
        scope="crm",
        module="gateway.crm.writes",
    ),
    _use(
        "crm.lead.update crm.deal.update crm.contact.update crm.company.update crm.quote.update",
        "change a record",
        scope="crm",
        module="gateway.crm.writes",
    ),
    _use(
        "crm.item.update",
        "change a record or its files; move it to another stage",
        scope="crm",
        module="gateway.crm.writes",
    ),
    _use(
        "crm.lead.delete crm.deal.delete crm.contact.delete crm.company.delete crm.quote.delete crm.item.delete",
        "delete a record",
        scope="crm",
        module="gateway.crm.writes",
    ),
    _use(
        "crm.lead.contact.items.get crm.deal.contact.items.get crm.quote.contact.items.get"
        " crm.company.contact.items.get crm.contact.company.items.get",
        "list the contacts and companies of a record",
        scope="crm",
        module="gateway.crm.bindings",
    ),
    _use(
        "crm.lead.contact.add crm.deal.contact.add crm.quote.contact.add crm.company.contact.add"
        " crm.contact.company.add",
        "add a contact or a company to a record",
        scope="crm",
        module="gateway.crm.bindings",
    ),
    _use(
        "crm.lead.contact.items.set crm.deal.contact.items.set crm.quote.contact.items.set"
        " crm.company.contact.items.set crm.contact.company.items.set",
        "change the primary contact or company of a record, or its place",
        scope="crm",
        module="gateway.crm.bindings",
    ),
    _use(
        "crm.lead.contact.delete crm.deal.contact.delete crm.quote.contact.delete crm.company.contact.delete"
        " crm.contact.company.delete",
        "remove a contact or a company from a record",
        scope="crm",
        module="gateway.crm.bindings",
    ),
    _use(
        "crm.lead.productrows.get crm.deal.productrows.get crm.quote.productrows.get crm.item.productrow.list",
        "list the products of a record",
        scope="crm",
        module="gateway.crm.product_rows",
    ),
    _use(
        "crm.lead.productrows.set crm.deal.productrows.set crm.quote.productrows.set crm.item.productrow.set",
        "replace the products of a record",
        scope="crm",
        module="gateway.crm.product_rows",
    ),
    _use(
        "crm.item.productrow.fields",
        "check the names and values of products",
        scope="crm",
        module="gateway.crm.product_rows",
    ),
    _use(
        "crm.timeline.comment.list crm.timeline.comment.get",
        "list the comments of a record; show a new one",
        scope="crm",
        module="gateway.crm.comments",
    ),
    _use("crm.timeline.comment.add", "add a comment to a record", scope="crm", module="gateway.crm.comments"),
    _use(
        "crm.address.list crm.requisite.list",
        "list the addresses of a record, and the requisites that hold them",
        scope="crm",
        module="gateway.crm.address_calls",
    ),
    _use(
        "crm.address.add crm.address.update crm.address.delete",
        "create, change or delete an address",
        scope="crm",
        module="gateway.crm.address_calls",
    ),
    _use(
        "crm.requisite.add crm.requisite.preset.list",
        "make the requisite that holds the first address of a record",
        scope="crm",
        module="gateway.crm.address_calls",
    ),
    _use(
        "crm.address.fields crm.enum.addresstype",
        "check the names, values and types of addresses",
        scope="crm",
        module="gateway.crm.address_calls",
    ),
    _use(
        "crm.duplicate.findbycomm",
        "find a record by its phones or e-mail addresses",
        scope="crm",
        module="gateway.crm.matches",
    ),
    _use(
        "tasks.task.list",
        "stream tasks, by version 2 or 3 of REST",
        scope="task; 3.0: tasks",
        module="gateway.passthrough.streamed_lists",
    ),
    _use("tasks.task.getFields", "check a filter of tasks", scope="task", module="gateway.bitrix.lists.field_rules"),
    _use(
        "tasks.task.field.list",
        "check a filter of tasks of REST 3.0",
        scope="tasks",
        module="gateway.bitrix.lists.field_rules",
    ),
    _use(
        "main.eventlog.tail",
        "stream the event log",
        scope="main",
        module="gateway.passthrough.streamed_lists",
    ),
    _use(
        "main.eventlog.field.list",
        "check a filter of the event log",
        scope="main",
        module="gateway.bitrix.lists.field_rules",
    ),
    _use(
        "rest.documentation.openapi",
        "show the portal's description of REST 3.0",
        scope=None,
        module="handlers.bitrix.calls",
    ),
)
