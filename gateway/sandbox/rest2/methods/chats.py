"""im.chat.get: the chat of an object."""

from gateway.sandbox.rest2.method import Answer, Call, Method, Param


def get_chat(call: Call) -> Answer:
    """Return the id of an object's chat, null if there is none or a parameter is missing.

    Source: [docs] api-reference/chats/im-chat-get.md
    """
    wanted = tuple(call.params.get(name) for name in ("entity_type", "entity_id"))
    chats = call.data.chats.items()
    found = [chat_id for chat_id, row in chats if (row["ENTITY_TYPE"], row["ENTITY_ID"]) == wanted]
    return Answer({"ID": found[0]} if found else None)


METHODS = (Method("im.chat.get", get_chat, ("im",), (Param("entity_type"), Param("entity_id"))),)
