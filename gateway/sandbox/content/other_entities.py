"""Entities of the CRM that are not records, such as requisites: they have fields but no entityTypeId of their own."""

from gateway.sandbox.content.entities import Entity, Field


def other_entity(table: str, fields: str, userfields: str = "") -> Entity:
    """Make an entity of *fields* such as ``"ID integer/r; NAME string"``."""
    return Entity(0, table, tuple(map(Field.parse, fields.split(";"))), userfields)
