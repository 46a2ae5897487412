"""Who calls the portal, and with which scopes."""

from dataclasses import dataclass

WEBHOOK = "webhook"
ADMINISTRATOR_ID = 1  # the user who owns the webhook
APPLICATION_ID = 5  # the number of the application on the portal

# All scopes of the portal. Source: [docs] api-reference/scopes/permissions.md
KNOWN_SCOPES = (
    "bizproc",
    "catalog",
    "crm",
    "department",
    "disk",
    "entity",
    "humanresources",
    "im",
    "log",
    "mail",
    "main",
    "placement",
    "rest",
    "task",
    "tasks",
    "telephony",
    "timeman",
    "user",
    "user.userfield",
    "user_basic",
    "user_brief",
    "userfieldconfig",
)


@dataclass(frozen=True)
class Caller:
    """A user who calls through an application's token or a webhook, with the scopes granted to it.

    *source_key* is the ``auth_connector`` of the call: what the application calls itself, "" if it does not say.
    """

    user_id: int
    scopes: tuple[str, ...]
    client: str  # the application's id, or WEBHOOK
    source_key: str = ""

    @property
    def is_application(self) -> bool:
        return self.client != WEBHOOK

    @property
    def is_administrator(self) -> bool:
        return self.user_id == ADMINISTRATOR_ID

    def has_access(self, scopes: tuple[str, ...]) -> bool:
        """Whether the caller has one of the *scopes* of a method. A method without scopes is open to every caller."""
        return not scopes or any(scope in self.scopes for scope in scopes)
