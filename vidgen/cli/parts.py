"""``vidgen list``, ``show`` and ``plugins``: what there is, without importing torch."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from vidgen.cli.output import note, print_json, print_table, short
from vidgen.config import Config, field_types
from vidgen.errors import UnknownNameError, closest
from vidgen.parts import Address
from vidgen.process import ProcessSpec
from vidgen.registry import find, list_components, plugins, registry
from vidgen.spec import INTERFACES, KINDS, ComponentSpec, check_kind

__all__ = ["add_to", "list_parts", "show", "show_plugins"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def list_parts(
    kind: Annotated[str | None, typer.Argument(help=f"One of {', '.join(KINDS)}; all by default.")] = None,
    pattern: Annotated[str, typer.Argument(help="A wildcard, such as 'sora*'.")] = "*",
    as_json: Json = False,
) -> None:
    """List the components of the installed plugins.

    \b
    Examples:
      vidgen list
      vidgen list denoiser
      vidgen list scheduler "d*"
      vidgen list --json
    """  # noqa: D301
    kinds = KINDS if kind in (None, "*") else (check_kind(str(kind)),)
    specs = [find(one, name) for one in kinds for name in list_components(one, pattern)]
    if as_json:
        print_json([_summary(spec) for spec in specs])
    elif specs:
        rows = [(s.kind, s.name, s.summary, " ".join(s.presets), _plugin(s)) for s in specs]
        print_table(("kind", "name", "summary", "presets", "plugin"), rows)
    else:
        hint = closest(pattern, [name for one in kinds for name in list_components(one)])
        note(f"No {kind or 'component'} matches {pattern!r}.{hint}")
    for plugin in plugins():
        if plugin.error:
            note(f"warning: the plugin {plugin.name!r} is left out: {plugin.error}")


def _summary(spec: ComponentSpec) -> dict[str, Any]:
    return {
        "kind": spec.kind,
        "name": spec.name,
        "summary": spec.summary,
        "presets": list(spec.presets),
        "plugin": _plugin(spec),
    }


def _plugin(spec: ComponentSpec) -> str:
    """Return the name of the plugin that brings a component, or where it was registered."""
    return next((p.name for p in plugins() if spec in p.specs), registry().owner(spec.kind, spec.name))


def show(
    name: Annotated[str, typer.Argument(help="name, name/preset or name@weights.")],
    kind: Annotated[str | None, typer.Option(help="Where several kinds have the name.")] = None,
    as_json: Json = False,
) -> None:
    """Show a component: settings, presets, contract, owner.

    \b
    Examples:
      vidgen show euler
      vidgen show sora-dit/small
      vidgen show sora-vae@kinetic
      vidgen show kinetic --kind data_set
    """  # noqa: D301
    address = Address.parse(name)
    pages = [_page(spec, address) for spec in _specs(address, kind)]
    if as_json:
        print_json(pages)
        return
    for page in pages:
        print(f"{page['kind']} {page['name']}: {page['summary']}")
        print(f"  from {page['owner']}, {page['target']}")
        _print_settings(page)
        print()


def _specs(address: Address, kind: str | None) -> list[ComponentSpec]:
    kinds = (check_kind(kind),) if kind else INTERFACES if address.weights else KINDS
    found = [find(one, address.name) for one in kinds if address.name in list_components(one)]
    if found:
        return found
    if kind:
        find(kind, address.name)  # says it better: it knows the kind
    everything = {name for one in KINDS for name in list_components(one)}
    hint = closest(address.name, everything)
    raise UnknownNameError(
        f"There is no component {address.name!r}.{hint} `vidgen list` shows all.{registry().broken()}"
    )


def _page(spec: ComponentSpec, address: Address) -> dict[str, Any]:
    """Return everything about a component as data."""
    settings: Mapping[str, Config]
    if address.weights:
        from vidgen.recipe import Slot

        settings = {f"@{address.weights}": Slot.read(spec.kind, f"{address.name}@{address.weights}").config}
    elif address.preset:
        settings = {address.preset: spec.preset(address.preset)}
    else:
        settings = spec.presets or ({"default": spec.preset()} if spec.kind in INTERFACES else {})
    types, fields = field_types(spec.config), dataclasses.fields(spec.config)
    contracts = settings if spec.kind in INTERFACES else {}
    return {
        **_summary(spec),
        "target": spec.target,
        "owner": registry().owner(spec.kind, spec.name),
        "expected_failures": dict(spec.expected_failures),
        "fields": {f.name: {"type": _type_words(types[f.name]), "default": _default(f)} for f in fields},
        "settings": {label: one.to_dict() for label, one in settings.items()},
        "contracts": {label: dict(_flat(_contract(one))) for label, one in contracts.items()},
    }


def _print_settings(page: dict[str, Any]) -> None:
    labels = list(page["settings"])
    rows = [
        (name, field["type"], field["default"], *(short(page["settings"][label][name]) for label in labels))
        for name, field in page["fields"].items()
    ]
    if rows:
        print_table(("setting", "type", "default", *labels), rows)
    if page["contracts"]:
        declared = list(dict.fromkeys(name for one in page["contracts"].values() for name in one))
        rows = [(name, *(short(page["contracts"][label].get(name)) for label in labels)) for name in declared]
        print_table(("contract", *labels), rows)
    for check, reason in page["expected_failures"].items():
        print(f"  known to fail: {check}: {reason}")


def _contract(settings: Config) -> Any:
    return settings.contract()  # type: ignore[attr-defined]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a contract with dotted names."""
    if isinstance(value, ProcessSpec):
        yield name, value.name
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _flat(getattr(value, field.name), f"{name}.{field.name}".lstrip("."))
    else:
        yield name, value


def _type_words(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return " | ".join(map(str, typing.get_args(hint)))
    plain = isinstance(hint, type) and not typing.get_args(hint)
    return hint.__name__ if plain else str(hint).replace("typing.", "")


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return short(field.default_factory())
    return "required" if field.default is dataclasses.MISSING else short(field.default)


def show_plugins(as_json: Json = False) -> None:
    """Show the plugins and why a broken one does not load.

    \b
    Examples:
      vidgen plugins
      VIDGEN_LOAD_PLUGINS=sora,text vidgen plugins
    """  # noqa: D301
    found = [(p, [] if p.error else [f"{spec.kind} {spec.name}" for spec in p.specs]) for p in plugins()]
    if as_json:
        known = ("name", "distribution", "version", "error")
        print_json([{k: getattr(p, k) for k in known} | {"components": brings} for p, brings in found])
        return
    rows = [
        (p.name, p.distribution, p.version, f"error: {p.error}" if p.error else ", ".join(brings))
        for p, brings in found
    ]
    print_table(("plugin", "distribution", "version", "components"), rows)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("list")(list_parts)
    app.command("show")(show)
    app.command("plugins")(show_plugins)
