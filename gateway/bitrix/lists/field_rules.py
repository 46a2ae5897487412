"""Which names, operators and values each list method accepts in `filter` and `select`: one `FieldRules` per method.

A portal silently drops what a list does not accept, and returns the list unfiltered or without the column.
Source: protocol.md 6.2 and the section of methods.md named at each entry (b24restdocs api-reference/); [srv] is
bitrix24-core-corp.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from gateway.bitrix.lists.list_specs import CLASSIC_ENTITIES

Operators = tuple[str, ...]

EQUAL = ("", "=")
NOT_EQUAL = ("!", "!=")
COMPARE = (">", ">=", "<", "<=")
AMONG = ("@", "!@")
LIKE = ("%", "=%", "%=")
NOT_LIKE = ("!%", "!=%", "!%=")
CUSTOM = "UF_"  # how the names of custom fields begin
LOGICS = ("AND", "OR")
BEFORE_NAME = re.compile(r"[^\w:]*")  # everything before a name, a known operator or not


class Groups(Enum):
    """How a filter may hold groups of conditions."""

    NONE = "none"
    NUMBERED = "numbered"  # {"0": {"logic": "OR", ...}}, and `logic` at the top level
    SUBFILTERS = "subfilters"  # {"::SUBFILTER-NAME": {"::LOGIC": "OR", ...}}


@dataclass(frozen=True)
class FieldRules:
    """What one list method accepts in `filter` and `select`, beyond what its fields method describes.

    *version* is that of REST. In version 3, a portal may have no method that describes the fields, or one that omits
    custom fields, and a dot in a name leads to a field of a related object, which the portal checks.
    """

    fields_method: str  # the method that describes the fields
    operators: Operators
    case_insensitive: bool = False
    groups: Groups = Groups.NONE
    checks_filter_names: bool = True  # false if the portal itself refuses unknown names in a filter
    filters: frozenset[str] | None = None  # the fields that filter, besides custom ones; None: all fields
    extra_filters: frozenset[str] = frozenset()  # names that filter and are not fields
    extra_selects: frozenset[str] = frozenset()  # names that can be selected and are not fields
    masks: tuple[str, ...] = ("*", f"{CUSTOM}*")  # select several fields
    operators_of: Mapping[str, Operators] = field(default_factory=dict)  # by name: the only operators it supports
    operators_by_type: Mapping[str, Operators] = field(default_factory=dict)  # the same by type of a field
    multiple_columns: bool = True  # false: multiple fields are not columns, except custom fields and multifields
    unselectable_types: frozenset[str] = frozenset()  # types of fields that cannot be selected
    selected_by: Mapping[str, str] = field(default_factory=dict)  # by column: another name that must be selected too
    finds_empty: frozenset[str] | None = None  # names for which an empty value finds empty fields; None: all
    yes_no_names: frozenset[str] = frozenset()  # names whose conditions are dropped unless the value is Y or N
    single_value_types: frozenset[str] = frozenset()  # types of fields compared only with the first of several values
    version: int = 2


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# methods.md 4 (crm/leads/crm-lead-list.md, its siblings; [srv] crm/classes/general/restservice.php). LIKE becomes
# equality for directory types. A multifield is filtered by its bare name, and only by a value that is not empty.
_NO_LIKE = (*EQUAL, *NOT_EQUAL, *COMPARE, *AMONG)
_CLASSIC_TYPES = {**dict.fromkeys(("crm_status", "crm_company", "crm_contact"), _NO_LIKE), "crm_multifield": EQUAL}


def _classic(entity: str) -> FieldRules:
    return FieldRules(
        fields_method=f"crm.{entity}.fields",
        operators=(*_NO_LIKE, *LIKE),
        operators_by_type=_CLASSIC_TYPES,
        multiple_columns=False,
        single_value_types=frozenset({"crm_multifield"}),
    )


# methods.md 5.3 (crm/universal/crm-item-list.md)
_ITEMS = FieldRules(
    fields_method="crm.item.fields",
    operators=(*_NO_LIKE, *LIKE, *NOT_LIKE),
    groups=Groups.NUMBERED,
    checks_filter_names=False,
    masks=("*",),
    unselectable_types=frozenset({"crm_multifield"}),
)

# methods.md 1 (user/user-get.md)
_USERS = FieldRules(
    fields_method="user.fields",
    operators=(*_NO_LIKE, *LIKE, *NOT_LIKE),
    case_insensitive=True,
    extra_filters=_words("NAME_SEARCH IS_ONLINE USER_TYPE ACTIVE UF_DEPARTMENT UF_PHONE_INNER"),
    extra_selects=_words("IS_ONLINE USER_TYPE ACTIVE UF_DEPARTMENT UF_PHONE_INNER"),
    operators_of={"NAME_SEARCH": ("",)},
)

# methods.md 11 (tasks/tasks-task-list.md, fields.md; [srv] tasks/lib/provider/taskfilterbuilder.php and
# lib/rest/controllers/task.php): the page lists the filters of the first three lines, the code the others.
_TASK_FILTERS = _words(
    "ID PARENT_ID GROUP_ID CREATED_BY STATUS_CHANGED_BY PRIORITY FORUM_TOPIC_ID RESPONSIBLE_ID TITLE TAG"
    " REAL_STATUS STATUS MARK SITE_ID ADD_IN_REPORT DATE_START DEADLINE CREATED_DATE CLOSED_DATE CHANGED_DATE"
    " ACCOMPLICE AUDITOR DEPENDS_ON ONLY_ROOT_TASKS STAGE_ID SPRINT_ID BACKLOG_ID FAVORITE"
    " CHANGED_BY GUID XML_ID ACTIVITY_DATE START_DATE_PLAN END_DATE_PLAN TIME_ESTIMATE FORKED_BY_TEMPLATE_ID"
    " ALLOW_TIME_TRACKING ALLOW_CHANGE_DEADLINE MATCH_WORK_TIME IS_MUTED IS_PINNED IS_PINNED_IN_GROUP"
)
_TASK_FLAGS = ("ONLY_ROOT_TASKS", "FAVORITE", "IS_MUTED", "IS_PINNED", "IS_PINNED_IN_GROUP")
_TASKS = FieldRules(
    fields_method="tasks.task.getFields",
    operators=(*EQUAL, "!", *COMPARE),
    case_insensitive=True,
    groups=Groups.SUBFILTERS,
    filters=_TASK_FILTERS,
    extra_filters=_words("TAG REAL_STATUS ACCOMPLICE AUDITOR DEPENDS_ON ONLY_ROOT_TASKS"),
    extra_selects=_words("TAGS COUNTERS"),
    masks=("*",),
    operators_of={
        **dict.fromkeys(("TAG", "DEPENDS_ON", *_TASK_FLAGS), EQUAL),
        **dict.fromkeys(("ACCOMPLICE", "AUDITOR"), (*EQUAL, "!")),
    },
    selected_by=MappingProxyType(
        {
            "subStatus": "STATUS",
            "creator": "CREATED_BY",
            "responsible": "RESPONSIBLE_ID",
            "group": "GROUP_ID",
            "accomplicesData": "ACCOMPLICES",
            "auditorsData": "AUDITORS",
            "descriptionInBbcode": "DESCRIPTION",
        }
    ),
    finds_empty=_words(
        "DATE_START DEADLINE CREATED_DATE CLOSED_DATE CHANGED_DATE ACTIVITY_DATE START_DATE_PLAN END_DATE_PLAN"
        " PARENT_ID GROUP_ID STATUS_CHANGED_BY FORUM_TOPIC_ID CHANGED_BY STATUS REAL_STATUS"
    ),
    yes_no_names=frozenset(_TASK_FLAGS),
)


# protocol.md 9.3, 9.4, 9.8 (b24restdocs api-reference/rest-v3/): the portal refuses unknown names in a filter.
def _rest3(fields_method: str) -> FieldRules:
    return FieldRules(fields_method=fields_method, operators=(), checks_filter_names=False, masks=(), version=3)


def split_operator(key: str) -> tuple[str, str]:
    """The operator of a condition ("" if there is none) and the name after it. The list may not know either."""
    name = BEFORE_NAME.sub("", key, count=1)
    return key[: len(key) - len(name)], name


FIELD_RULES: Mapping[str, FieldRules] = {
    "user.get": _USERS,
    **{f"crm.{entity}.list": _classic(entity) for entity in CLASSIC_ENTITIES},
    "crm.item.list": _ITEMS,
    "tasks.task.list": _TASKS,
}
FIELD_RULES3: Mapping[str, FieldRules] = {
    "main.eventlog.tail": _rest3("main.eventlog.field.list"),
    "tasks.task.list": _rest3("tasks.task.field.list"),
}
