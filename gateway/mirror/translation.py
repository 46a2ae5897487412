"""Shows the values of records by the names that people know, in the place of ids."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from gateway.bitrix.lists.list_fields import Field
from gateway.fields.service import FieldService, KnownFields, fields_key
from gateway.mirror.names import Groups, Names, NameService
from gateway.mirror.resources import RecordType, Resource, record_type
from gateway.mirror.stage_directories import common_directory
from gateway.page_cache import Versions
from storage.records import Account

USER_TYPES = ("user", "employee")


@dataclass(frozen=True)
class Translation:
    """The names of the values of one type of records, by field.

    The names of the fields *stages* depend on the record's pipeline, which is in the field *pipeline*. *versions* are
    those of all that the names are from; none if what is shown with them must not be cached.
    """

    names: Mapping[str, Mapping[str, str]]
    stages: tuple[str, ...] = ()
    pipeline: str | None = None
    of_pipelines: Groups = field(default_factory=dict)
    versions: Versions = ()

    def show(self, record: Mapping[str, object]) -> dict[str, object]:
        """*record* with names in the place of ids. Ids without a name, and all other values, stay as they are."""
        shown = dict(record)
        for name, names in self.names.items():
            if (value := record.get(name)) is not None:
                shown[name] = _named(value, names)
        if self.stages and self.pipeline is not None:
            own = self.of_pipelines.get(str(record.get(self.pipeline)), {})
            for name in self.stages:
                stage = record.get(name)
                if type(stage) is str and stage in own:  # a stage of another pipeline may have the same id
                    shown[name] = own[stage]
        return shown


def _named(value: object, names: Mapping[str, str]) -> object:
    if type(value) is list:
        return [_named(item, names) for item in value]
    return names.get(str(value), value) if type(value) in (str, int) else value


def pick(items: list[bytes], names: tuple[str, ...] | None, translation: Translation | None) -> list[bytes]:
    """The *names* of each record, and its id; null where the record lacks one. None: all that the record has.

    They are shown with *translation*, if there is one.
    """
    if names is None and translation is None:
        return items
    records: Iterable[dict[str, object]] = map(orjson.loads, items)
    if translation is not None:
        records = map(translation.show, records)
    if names is not None:
        wanted = dict.fromkeys(("id", *names))
        records = ({name: record.get(name) for name in wanted} for record in records)
    return [orjson.dumps(record) for record in records]


class TranslationService:
    """Makes the translations of each account."""

    def __init__(self, names: NameService, fields: FieldService) -> None:
        self._names = names
        self._fields = fields

    async def load(self, account: Account, resource: Resource, known: KnownFields) -> Translation:
        """The translation of records of *resource*, whose fields are *known*."""
        record, names = record_type(resource), await self._names.load(account)
        versions = [*names.versions, (fields_key(account, record.fields), known.version)]
        pipelines = names.pipelines.get(str(record.entity_type_id), {})
        if record.pipelines is not None:
            own = await self._fields.find(account, record.pipelines)
            pipelines = {} if own is None else own.choices.get(record.pipelines.method, {})
            versions.append((fields_key(account, record.pipelines), 0 if own is None else own.version))
        of_pipelines = _stages(record, names.directories)
        stages = [each.name for each in known.fields.values() if of_pipelines and _is_stage(each, record)]
        all_stages = {stage: name for group in of_pipelines.values() for stage, name in group.items()}
        found = {each.name: _names_of(each, names, pipelines) for each in known.fields.values()}
        found |= {**known.choices, **dict.fromkeys(stages, all_stages)}
        return Translation(
            {name: values for name, values in found.items() if values},
            tuple(stages),
            record.names.pipeline,
            of_pipelines,
            tuple(versions) if names.versions else (),
        )


def _names_of(known: Field, names: Names, pipelines: Mapping[str, str]) -> Mapping[str, str]:
    """The names of the values that refer to a dictionary; empty for all other fields."""
    if known.type in USER_TYPES:
        return names.users
    if known.type == "crm_category":
        return pipelines
    return names.directories.get(known.directory, {}) if known.type == "crm_status" else {}


def _stages(record: RecordType, directories: Groups) -> dict[str, Mapping[str, str]]:
    """The names of stages by pipeline; empty if the records have no pipelines."""
    if record.names.pipeline is None or record.names.stage is None:
        return {}
    common = common_directory(record.entity_type_id)
    groups = {"0": directories.get(common, {})}
    prefix = f"{common}_"
    for directory, names in directories.items():
        if directory.startswith(prefix):
            groups[directory.removeprefix(prefix)] = names
    return groups


def _is_stage(known: Field, record: RecordType) -> bool:
    """Whether a field holds a stage of any pipeline. Its description names the directory of only one of them."""
    common = common_directory(record.entity_type_id)
    is_common = known.directory == common or known.directory.startswith(f"{common}_")
    return known.type == "crm_status" and (is_common or known.name == record.names.stage)
