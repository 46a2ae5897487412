"""Which names and operators a list method obeys in `filter` and `select`: one row of facts per method.

A portal drops what it does not obey without a word, and the list then comes unfiltered or without a column.
Source: protocol.md 6.2 and the section of methods.md named at each row (b24restdocs api-reference/); [srv] is
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
BEFORE_NAME = re.compile(r"[^\w:]*")  # whatever stands in front of a name, operator or not


class Groups(Enum):
    """How a filter may hold groups of conditions."""

    NONE = "none"
    NUMBERED = "numbered"  # {"0": {"logic": "OR", ...}}, and `logic` at the top
    SUBFILTERS = "subfilters"  # {"::SUBFILTER-NAME": {"::LOGIC": "OR", ...}}


@dataclass(frozen=True)
class FieldRules:
    """What one list method takes in `filter` and `select`, as far as its fields method does not say it.

    *any_case*: names count in any case; otherwise only as they are written.
    *names_filters*: names in a filter must be checked; false where the portal itself refuses unknown ones.
    *filters*: the fields that filter, besides custom ones; None for all fields.
    *filters_too*, *selects_too*: names that are not fields and yet filter, or can be selected.
    *operators_of*, *operators_by_type*: by name or by type of a field, the only operators that it takes.
    *version*: of REST. In 3, a portal may have no method that names the fields, or one that leaves custom fields out;
    and a dot in a name leads to a field of a related object, which the portal checks.
    """

    fields: str  # the method that names the fields
    operators: Operators
    any_case: bool = False
    groups: Groups = Groups.NONE
    names_filters: bool = True
    filters: frozenset[str] | None = None
    filters_too: frozenset[str] = frozenset()
    selects_too: frozenset[str] = frozenset()
    masks: tuple[str, ...] = ("*", f"{CUSTOM}*")
    operators_of: Mapping[str, Operators] = field(default_factory=dict)
    operators_by_type: Mapping[str, Operators] = field(default_factory=dict)
    multiple: bool = True  # multiple fields are columns of the list, custom ones and multifields apart
    hidden_types: frozenset[str] = frozenset()  # of fields that cannot be selected
    comes_with: Mapping[str, str] = field(default_factory=dict)  # column of an answer: the name that brings it
    empty_means_empty: frozenset[str] | None = None  # by them, an empty value finds empty fields; None: by all
    yes_or_no: frozenset[str] = frozenset()  # names whose condition is dropped unless it is Y or N
    one_value: frozenset[str] = frozenset()  # types of fields that are compared with the first of several values alone
    version: int = 2


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# methods.md 4 (crm/leads/crm-lead-list.md, its siblings; [srv] crm/classes/general/restservice.php). LIKE is turned
# into equality for the types of a directory; a multifield is looked for by its bare name, and only when not empty.
_NO_LIKE = (*EQUAL, *NOT_EQUAL, *COMPARE, *AMONG)
_CLASSIC_TYPES = {**dict.fromkeys(("crm_status", "crm_company", "crm_contact"), _NO_LIKE), "crm_multifield": EQUAL}


def _classic(entity: str) -> FieldRules:
    return FieldRules(
        fields=f"crm.{entity}.fields",
        operators=(*_NO_LIKE, *LIKE),
        operators_by_type=_CLASSIC_TYPES,
        multiple=False,
        one_value=frozenset({"crm_multifield"}),
    )


# methods.md 5.3 (crm/universal/crm-item-list.md)
_ITEMS = FieldRules(
    fields="crm.item.fields",
    operators=(*_NO_LIKE, *LIKE, *NOT_LIKE),
    groups=Groups.NUMBERED,
    names_filters=False,
    masks=("*",),
    hidden_types=frozenset({"crm_multifield"}),
)

# methods.md 1 (user/user-get.md)
_USERS = FieldRules(
    fields="user.fields",
    operators=(*_NO_LIKE, *LIKE, *NOT_LIKE),
    any_case=True,
    filters_too=_words("NAME_SEARCH IS_ONLINE USER_TYPE ACTIVE UF_DEPARTMENT UF_PHONE_INNER"),
    selects_too=_words("IS_ONLINE USER_TYPE ACTIVE UF_DEPARTMENT UF_PHONE_INNER"),
    operators_of={"NAME_SEARCH": ("",)},
)

# methods.md 11 (tasks/tasks-task-list.md, fields.md; [srv] tasks/lib/provider/taskfilterbuilder.php and
# lib/rest/controllers/task.php): the page names the filters of the first three lines, the code those after them.
_TASK_FILTERS = _words(
    "ID PARENT_ID GROUP_ID CREATED_BY STATUS_CHANGED_BY PRIORITY FORUM_TOPIC_ID RESPONSIBLE_ID TITLE TAG"
    " REAL_STATUS STATUS MARK SITE_ID ADD_IN_REPORT DATE_START DEADLINE CREATED_DATE CLOSED_DATE CHANGED_DATE"
    " ACCOMPLICE AUDITOR DEPENDS_ON ONLY_ROOT_TASKS STAGE_ID SPRINT_ID BACKLOG_ID FAVORITE"
    " CHANGED_BY GUID XML_ID ACTIVITY_DATE START_DATE_PLAN END_DATE_PLAN TIME_ESTIMATE FORKED_BY_TEMPLATE_ID"
    " ALLOW_TIME_TRACKING ALLOW_CHANGE_DEADLINE MATCH_WORK_TIME IS_MUTED IS_PINNED IS_PINNED_IN_GROUP"
)
_TASK_FLAGS = ("ONLY_ROOT_TASKS", "FAVORITE", "IS_MUTED", "IS_PINNED", "IS_PINNED_IN_GROUP")
_TASKS = FieldRules(
    fields="tasks.task.getFields",
    operators=(*EQUAL, "!", *COMPARE),
    any_case=True,
    groups=Groups.SUBFILTERS,
    filters=_TASK_FILTERS,
    filters_too=_words("TAG REAL_STATUS ACCOMPLICE AUDITOR DEPENDS_ON ONLY_ROOT_TASKS"),
    selects_too=_words("TAGS COUNTERS"),
    masks=("*",),
    operators_of={
        **dict.fromkeys(("TAG", "DEPENDS_ON", *_TASK_FLAGS), EQUAL),
        **dict.fromkeys(("ACCOMPLICE", "AUDITOR"), (*EQUAL, "!")),
    },
    comes_with=MappingProxyType(
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
    empty_means_empty=_words(
        "DATE_START DEADLINE CREATED_DATE CLOSED_DATE CHANGED_DATE ACTIVITY_DATE START_DATE_PLAN END_DATE_PLAN"
        " PARENT_ID GROUP_ID STATUS_CHANGED_BY FORUM_TOPIC_ID CHANGED_BY STATUS REAL_STATUS"
    ),
    yes_or_no=frozenset(_TASK_FLAGS),
)


# protocol.md 9.3, 9.4, 9.8 (b24restdocs api-reference/rest-v3/): a filter by an unknown name is refused by the portal.
def _rest3(fields: str) -> FieldRules:
    return FieldRules(fields=fields, operators=(), names_filters=False, masks=(), version=3)


def split_operator(key: str) -> tuple[str, str]:
    """The operator of a condition, "" for none, and the name behind it; the list may know neither."""
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
