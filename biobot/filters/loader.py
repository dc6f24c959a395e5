"""Finding and loading plugins: the bundled ones, those of the bot's own folder, and installed packages."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from importlib.metadata import entry_points
from inspect import signature
from pathlib import Path
from shlex import quote
from types import MappingProxyType, ModuleType
from typing import Any

import pluggy

from biobot import storage
from biobot.bundled import bundled
from biobot.config import Config, Where, build, known_types, nearest
from biobot.errors import BiobotError, PluginError, say
from biobot.filters import hookspecs, output
from biobot.filters.alarm import TimeUp, alarm
from biobot.text.terminal import clean

IMPORT = 5
"""How many times `filters.timeout` the import of a plugin may take."""
GROUP = "biobot"
"""The entry point group of installed plugins."""
_HOOKS = ("biobot_filter", "biobot_settings", "biobot_score", "biobot_network")
RESERVED = ("wellformed", "disabled", "required", "timeout")
"""Names that no plugin may have: the judge's own check, and the keys of `[filters]`."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One implementation of a hook, and the arguments it names."""

    function: Callable[..., Any]
    arguments: tuple[str, ...]

    def __call__(self, **given: Any) -> Any:
        """Call it with those of `given` that it names."""
        return self.function(**{name: given[name] for name in self.arguments})


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin: its name and origin, whether it is enabled, its hooks, the class of its settings, and their values.

    `problem` says why it could not be loaded.
    """

    name: str
    origin: str
    enabled: bool = True
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    kind: type | None = None
    settings: Any = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Plugins:
    """Every plugin that was found, by name."""

    found: tuple[Plugin, ...]

    def __iter__(self) -> Iterator[Plugin]:
        return iter(self.found)

    def with_hook(self, hook: str) -> Iterator[tuple[Plugin, Hook]]:
        """Yield each enabled plugin that implements `hook`, with its implementation."""
        return ((plugin, plugin.hooks[hook]) for plugin in self.found if hook in plugin.hooks)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a plugin is, before it is loaded; `replaces` is the bundled one whose place it takes."""

    name: str
    origin: str
    load: Callable[[], Any]
    replaces: str | None = None
    is_bundled: bool = False


def load(config: Config, *, require: bool = True, broken: Mapping[str, str] | None = None) -> Plugins:
    """Load the plugins of a bot and check their settings.

    With `broken` those that cannot be loaded are listed, too; those that it names are not even tried, for the reason
    that it gives.

    Raises PluginError when one cannot be loaded or is not safe to load, or when one that `filters.required`
    names is missing (unless `require` is false, or one is broken); ConfigError when a table or a name in `[filters]`
    is wrong.
    """
    settings, where = config.settings.filters, Where(str(config.file or "biobot.toml"))
    sources = _sources(config)
    for key, names in (("disabled", settings.disabled), (None, settings.tables)):
        for name in names:
            if name not in sources:
                place = where.at("filters").at(key or name)
                raise place.error(f"there is no plugin {name!r}; {nearest(name, sources)}")
    manager = pluggy.PluginManager("biobot")
    manager.add_hookspecs(hookspecs)
    found = []
    for name, source in sources.items():
        if name in settings.disabled:
            found.append(Plugin(name, source.origin, enabled=False))
        elif broken and name in broken:
            found.append(Plugin(name, source.origin, problem=broken[name]))
        else:
            try:
                limit = IMPORT * settings.timeout.total_seconds()
                found.append(_load(manager, source, settings.tables.get(name), where.at("filters").at(name), limit))
            except BiobotError as error:
                if broken is None:
                    raise
                found.append(Plugin(name, source.origin, problem=str(error)))
    plugins = Plugins(tuple(found))
    if require and not any(each.problem for each in plugins):
        _require(plugins, settings.required, where)
    return plugins


def how_to_fix(name: str) -> str:
    """Return what an owner can do about a plugin that does not work."""
    return f'fix it, or turn it off with filters.disabled = ["{name}"]'


def runs_foreign_code(config: Config) -> bool:
    """Return whether a plugin is enabled that did not come with biobot; raise PluginError as `load` does."""
    disabled = config.settings.filters.disabled
    return any(name not in disabled and not each.is_bundled for name, each in _sources(config).items())


def load_one(config: Config, name: str) -> Plugin:
    """Load the plugin of that name and no other, with its hooks; raise PluginError if there is none."""
    sources = _sources(config)
    if name not in sources:
        raise PluginError(f"there is no plugin {name!r}; {nearest(name, sources)}")
    manager = pluggy.PluginManager("biobot")
    manager.add_hookspecs(hookspecs)
    where = Where(str(config.file or "biobot.toml"), ("filters", name))
    return _load(manager, sources[name], config.settings.filters.tables.get(name), where)


def origins(config: Config) -> dict[str, str]:
    """Return where each plugin of a bot is, by its name, without loading it; raise PluginError as `load` does."""
    return {name: source.origin for name, source in _sources(config).items()}


def load_file(path: Path, table: Mapping[str, Any] | None = None) -> Plugin:
    """Load one plugin from a file, with `table` as its settings, to try it out."""
    manager = pluggy.PluginManager("biobot")
    manager.add_hookspecs(hookspecs)
    source = _Source(path.stem, str(path), lambda: _import(path))
    return _load(manager, source, table, Where("biobot.toml", ("filters", path.stem)))


# -- finding -----------------------------------------------------------------------------------------


def _sources(config: Config) -> dict[str, _Source]:
    """Find every plugin; a file of the bot's own folder replaces a bundled one of that name."""
    own = config.folder / "plugins"
    found: dict[str, _Source] = {}
    for path in _files(bundled("plugins")):
        found[path.stem] = _Source(path.stem, f"bundled ({path.name})", _importer(path), is_bundled=True)
    if own.is_dir() and own.resolve() != bundled("plugins").resolve():
        for path in _files(own):
            replaces = found[path.stem].origin if path.stem in found else None
            found[path.stem] = _Source(path.stem, str(path), _importer(path, own=True), replaces)
    for point in entry_points(group=GROUP):
        package = point.dist.name if point.dist else "a package"
        if point.name in found:
            raise PluginError(
                f"the package {package} brings a plugin {point.name!r}, but there is one already "
                f"({found[point.name].origin}); remove one of them"
            )
        found[point.name] = _Source(point.name, f"package {package}", point.load)
    for name, source in found.items():
        if not name.isprintable():
            raise PluginError(f"the plugin {source.origin!r} cannot have that name; rename the file")
    for name in RESERVED:
        if name in found:
            raise PluginError(f"the plugin {found[name].origin} cannot be called {name!r}; give it another name")
    return dict(sorted(found.items()))


def _files(folder: Path) -> list[Path]:
    """Return the files of a folder that are plugins, and the folders that look like one."""
    found = folder.glob("[!_.]*") if folder.is_dir() else ()
    return sorted(
        each
        for each in found
        if each.suffix == ".py" or (each.is_dir() and any(each.rglob("*.py"))) or _is_misnamed(each)
    )


def _is_misnamed(path: Path) -> bool:
    """Return whether a file is a plugin for its author alone: mine.PY, or an editor's mine.py.txt."""
    meant = re.fullmatch(r"(.*)\.py(\.txt)?", path.name, re.IGNORECASE)
    return meant is not None and not path.is_dir() and not path.with_name(f"{meant[1]}.py").exists()


def _check_safe(path: Path) -> None:
    """Refuse anything but a file, and a plugin that another user of this machine could have written."""
    if path.is_dir():
        raise PluginError(f"{path} is a folder, and only files are loaded: make it one file, {path.with_suffix('.py')}")
    if path.is_symlink() and not path.exists():
        raise PluginError(f"{path} is a link to {path.readlink()}, which is not there: correct it, or remove it")
    if not path.is_file():
        raise PluginError(f"{path} is not a regular file")
    if path.suffix != ".py":
        raise PluginError(f"{path} is not loaded, as its name does not end in .py: rename it, or remove it")
    for each in (path.parent, path):
        if storage.others_can_write(each):
            raise PluginError(
                f"others can write {each}, so it is not loaded; fix that with: chmod go-w {quote(str(each))}"
            )
        if each.stat().st_uid not in (0, os.geteuid()):
            raise PluginError(f"{each} belongs to another user, so it is not loaded; take it over with chown")


def _importer(path: Path, *, own: bool = False) -> Callable[[], ModuleType]:
    def load() -> ModuleType:
        if own:
            _check_safe(path)
        return _import(path)

    return load


def _import(path: Path) -> ModuleType:
    name = f"biobot_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: a dataclass looks its module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _in_words(said: str) -> str | None:
    """Return what pluggy says of a wrong hook, with what would be right; None for anything else that it says."""
    allowed = {name: tuple(signature(hook).parameters) for name, hook in vars(hookspecs).items() if name in _HOOKS}
    if found := re.search(r"unknown hook '(\w+)'", said):
        return f"unknown hook {found[1]}; {nearest(found[1], _HOOKS)}"
    if found := re.search(r"for hook '(\w+)'.*Argument\(s\) \{'(\w+)'", said, re.DOTALL):
        return f"{found[1]} has no argument {found[2]}; it may take {', '.join(allowed[found[1]]) or 'none'}"
    return None


# -- loading -----------------------------------------------------------------------------------------


def _load(
    manager: pluggy.PluginManager, source: _Source, table: Mapping[str, Any] | None, where: Where, limit: float = 60.0
) -> Plugin:
    """Load one plugin; what it runs meanwhile may take `limit` seconds each time."""

    def problem(error: BaseException) -> PluginError:
        words = str(error) if isinstance(error, PluginError) else say(error)
        if isinstance(error, pluggy.PluginValidationError):
            words = _in_words(str(error)) or words
        if isinstance(error, TimeUp):
            words = f"it takes longer than {limit:g} s ({IMPORT} times filters.timeout); does it loop?"
        return PluginError(
            f"the plugin {source.name} ({source.origin}) cannot be loaded: {clean(words)}; {how_to_fix(source.name)}"
        )

    try:
        with output.logged_as(source.name, "was imported"), alarm(limit):
            module = source.load()
        manager.register(module, name=source.name)
        manager.check_pending()  # a misspelt hook is an error, not a silent pass
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin is someone else's code
        raise problem(error) from error
    hooks = {}
    for caller in manager.get_hookcallers(module) or ():
        if not caller.has_spec():
            raise problem(PluginError(f"there is no hook {caller.name}"))
        for implementation in caller.get_hookimpls():
            if implementation.plugin_name == source.name:
                hooks[caller.name] = Hook(implementation.function, tuple(implementation.argnames))
                if implementation.kwargnames:
                    raise PluginError(
                        f"the plugin {source.name} ({source.origin}): {caller.name} gives its argument "
                        f"{implementation.kwargnames[0]!r} a default value; leave that out"
                    )
    named = vars(module) if isinstance(module, ModuleType) else {}
    if bare := next((name for name in named if name.startswith("biobot_") and name not in hooks), None):
        raise PluginError(f"the plugin {source.name} ({source.origin}): put @hookimpl above {bare}")
    for name, value in named.items():
        if isinstance(value, type) and any(hasattr(each, "biobot_impl") for each in vars(value).values()):
            raise problem(PluginError(f"its hooks are in the class {name}; write them as functions of the file"))
        if not hooks and callable(value) and getattr(value, "__module__", "") == module.__name__:
            raise problem(
                PluginError(
                    f"{name} is not a hook, and the file has none, so it does nothing; put @hookimpl above each hook, "
                    "or if other plugins import it, begin its name with an underscore"
                )
            )
    if source.replaces and "biobot_filter" not in hooks:
        raise PluginError(
            f"{source.origin} has the name of the filter {source.replaces}, but does not implement biobot_filter, so "
            "nothing would filter in its place; rename the file, or turn that filter off with "
            f'filters.disabled = ["{source.name}"]'
        )
    try:
        with output.logged_as(source.name, "described its settings"), alarm(limit):
            kind = _kind(source, hooks)
            settings = MappingProxyType(dict(table or {})) if kind is None else build(kind, table or {}, where)
    except (BiobotError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise problem(error) from error
    return Plugin(source.name, source.origin, hooks=hooks, kind=kind, settings=settings)


def _kind(source: _Source, hooks: Mapping[str, Hook]) -> type | None:
    """Ask a plugin for the class of its settings."""
    if "biobot_settings" not in hooks:
        return None
    try:
        kind = hooks["biobot_settings"]()
    except Exception as error:
        raise PluginError(clean(f"the plugin {source.name} cannot describe its settings: {say(error)}")) from error
    if not (isinstance(kind, type) and is_dataclass(kind) and kind.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        raise PluginError(f"the plugin {source.name}: biobot_settings must return a frozen dataclass, not {kind!r}")
    try:
        known_types(kind)
    except ValueError as error:
        raise PluginError(f"the plugin {source.name} ({source.origin}): {error}") from None
    return kind


def _require(plugins: Plugins, names: Iterable[str], where: Where) -> None:
    filters = {plugin.name for plugin, _ in plugins.with_hook("biobot_filter")}
    for name in names:
        if name not in filters:
            off = any(plugin.name == name and not plugin.enabled for plugin in plugins)
            raise PluginError(
                f"the filter {name!r} is required ({where.file}: filters.required) but "
                f"{'disabled' if off else 'not there'}; {'enable it' if off else nearest(name, filters)}, "
                "or take it off that list"
            )
