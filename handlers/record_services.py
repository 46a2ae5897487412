"""The services that write the records of the CRM, and all that belongs to them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.accounts.allowed_methods import MethodAllowlist
from gateway.crm.addresses import AddressService
from gateway.crm.binding_service import BindingService
from gateway.crm.comments import CommentService
from gateway.crm.context import WriteContext
from gateway.crm.deletes import RecordDeletes
from gateway.crm.directories import DirectoryFinder
from gateway.crm.disk_attachments import DiskAttachments
from gateway.crm.gathered_calls import GatheredCalls
from gateway.crm.journaled import JournaledWrites
from gateway.crm.product_service import ProductService
from gateway.crm.record_files import RecordFiles
from gateway.crm.related_deals import RelatedDeals
from gateway.crm.service import RecordService
from gateway.crm.stage_check import StageChecker
from gateway.crm.upserts import UpsertService
from gateway.crm.users import UserFinder
from gateway.crm.written_records import WrittenRecords
from gateway.mirror.links import LinkRefresher
from gateway.mirror.names import NameService
from gateway.mirror.pipelines import PipelineDirectory
from handlers.app_keys import (
    ADDRESSES,
    BINDINGS,
    CLIENTS,
    COMMENTS,
    DATABASE,
    DIRECTORY,
    DISK_ATTACHMENTS,
    DRIVE,
    FOLDER_PATHS,
    PAGES,
    PORTAL_RECORDS,
    PRODUCTS,
    READER,
    RECORD_DELETES,
    RECORD_FILES,
    RECORD_WRITES,
    RELATED_DEALS,
    UPLOADS,
    UPSERTS,
)
from handlers.http.errors import command_error
from handlers.http.keys import CLOCK
from storage.own_writes import OwnWriteStore
from storage.write_journal import WriteJournal


@asynccontextmanager
async def record_services(
    app: web.Application, names: NameService, links: LinkRefresher, allowed_methods: MethodAllowlist
) -> AsyncIterator[None]:
    """Create the services until the block ends; then cancel the writes that still run."""
    clock, directory, clients = app[CLOCK], app[DIRECTORY], app[CLIENTS]
    journaled = JournaledWrites(WriteJournal(app[DATABASE]), directory, clock)
    written = WrittenRecords(OwnWriteStore(app[DATABASE]), app[PORTAL_RECORDS], app[READER], app[PAGES], clock)
    calls = GatheredCalls(clients, allowed_methods)
    pipelines = PipelineDirectory(names, directory, clients, clock)
    users, stages = UserFinder(names, directory, clients), StageChecker(names, pipelines, directory, clients)
    directories = DirectoryFinder(names, directory, clients, clock)
    context = WriteContext(journaled, written, directory, clients, calls, clock)
    app[RECORD_WRITES] = RecordService(context, users, directories, stages)
    app[RECORD_DELETES] = RecordDeletes(context, links, describe=command_error)
    app[UPSERTS] = UpsertService(context, app[RECORD_WRITES])
    app[BINDINGS] = BindingService(context)
    app[RELATED_DEALS] = RelatedDeals(directory, clients, clock)
    app[PRODUCTS] = ProductService(context)
    app[COMMENTS] = CommentService(context)
    app[ADDRESSES] = AddressService(context)
    app[RECORD_FILES] = RecordFiles(context, allowed_methods)
    app[DISK_ATTACHMENTS] = DiskAttachments(
        allowed_methods, app[RECORD_WRITES], app[RECORD_FILES], app[DRIVE], app[FOLDER_PATHS], app[UPLOADS]
    )
    await journaled.open()
    try:
        yield
    finally:
        await journaled.close()
        await written.close()
        await calls.close()
