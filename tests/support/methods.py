"""The portal methods that the gateway calls: those of its table, and those in its code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from gateway.bitrix.lists.field_rules import FIELD_RULES, FIELD_RULES3
from gateway.bitrix.monitoring.methods import METHOD_USES
from gateway.crm.bindings import BINDING_TYPES
from gateway.mirror.resources import DICTIONARIES, RECORDS, find_resource, record_type
from gateway.passthrough.streamed_lists import STREAMED_LISTS, TASKS3
from tests.support.readme import ROOT
from tests.support.source import texts, within

LISTED = {method.lower() for use in METHOD_USES for method in use.methods}
ADVICE = (
    "add each method to METHOD_USES in gateway/bitrix/monitoring/methods.py, "
    'and to the table of methods in README.md ("How the gateway calls Bitrix24")'
)

METHOD_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")
PACKAGES = ("gateway", "handlers")
# Modules that know methods which they do not call, and others whose texts are no methods.
LEFT_OUT = (
    "gateway.bitrix.lists.list_specs",
    "gateway.bitrix.monitoring",
    "gateway.bitrix.protocol.method_kind",
    "gateway.cli",
    "gateway.sandbox",
    "gateway.settings",
    "handlers.http",
    "handlers.operations",
)
NO_METHODS = {"crm.item", "items.get", "items.set", "productrows.get", "productrows.set"}  # parts of methods
CALLING = ("Command", "ListCall", "PortalRequest", "StreamedList")  # take a method as their first argument
ACTING = ("command", "_do")  # take the last part of a method as their first argument

BINDINGS = "gateway.crm.bindings"
WITH_PRODUCT_ROWS = ("crm.lead", "crm.deal", "crm.quote")
RECORD_TYPES = [record_type(resource) for resource in (*RECORDS.values(), find_resource("items/128"))]
LISTS = {
    *(
        portal_list.call.method
        for resource in (*DICTIONARIES.values(), *RECORDS.values())
        for portal_list in resource.lists("")
    ),
    *(listed.method for listed in (*STREAMED_LISTS.values(), TASKS3)),
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Yield the modules that may call portals, by name."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if not within(name, *LEFT_OUT):
                yield name, parse(path)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def named(tree: ast.Module) -> set[str]:
    """The methods that *tree* names in full."""
    in_full = {text for _, text in texts(tree) if METHOD_NAME.fullmatch(text)}
    return in_full - {as_text(template) for template in constructed(tree)} | first_arguments(tree, CALLING)


def constructed(tree: ast.Module) -> set[str]:
    """The f-strings in *tree* that may be methods, with ``{}`` for each placeholder."""
    return {
        template
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr) and METHOD_NAME.fullmatch(as_text(template := template_of(node)))
    }


def as_text(template: str) -> str:
    """*template* as `texts` yields it."""
    return template.replace("{}", "x")


def template_of(node: ast.JoinedStr) -> str:
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def first_arguments(tree: ast.Module, functions: tuple[str, ...]) -> set[str]:
    """The texts that *tree* passes to *functions* as the first argument."""
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and name_of(node.func) in functions
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def name_of(function: ast.expr) -> str:
    match function:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return ""


def methods_of_records(trees: dict[str, ast.Module]) -> set[str]:
    """What `RecordType.command` makes of the actions in *trees*. Only some classic types have products."""
    actions = {action for name, tree in trees.items() if name != BINDINGS for action in first_arguments(tree, ACTING)}
    return {
        f"{record.prefix}.{action}"
        for record in RECORD_TYPES
        for action in actions
        if not action.startswith("productrows.") or record.prefix in WITH_PRODUCT_ROWS
    }


def methods_of_bindings(trees: dict[str, ast.Module]) -> set[str]:
    """What `BindingType.command` makes of the actions in its module."""
    actions = first_arguments(trees[BINDINGS], ACTING)
    return {f"{kind.prefix}.{action}" for kind in BINDING_TYPES.values() for action in actions if action != "get"}


def methods_of_fields() -> set[str]:
    """The methods that describe the fields of the lists that the gateway reads."""
    return {rules[method].fields_method for rules in (FIELD_RULES, FIELD_RULES3) for method in LISTS & rules.keys()}
