"""A network plugin, held to what docs/plugins.md asks of it: when it is loaded, and at every call."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass, replace
from datetime import datetime, timedelta
from io import StringIO
from typing import Any, NoReturn

from biobot import redact
from biobot.config import known_types
from biobot.errors import BiobotError, PluginError, say
from biobot.networks import secrets as needed
from biobot.networks.errors import ITS_KEYS, Refused, Unknown
from biobot.networks.network import Account, Engagement, Network, Timeline, Tweet
from biobot.text.terminal import clean, listener

log = logging.getLogger("biobot")


def problem(found: Any, name: str) -> str | None:
    """Return what a plugin called `name` did wrong in the class that its hook returns; None where all is there."""
    if not (isinstance(found, type) and issubclass(found, Network)):
        return "biobot_network must return a subclass of Network"
    title, secrets, lasts, most = found.__name__, found.secrets, found.key_lasts, found.max_length
    if missing := sorted(found.__abstractmethods__):
        return f"{title} lacks {' and '.join(f'`{each}`' for each in missing)}"
    if getattr(found, "name", None) != name:
        return f"the name of its network must be {name!r}, too, as the file's is"
    if not (isinstance(secrets, tuple) and all(re.fullmatch(r"BIOBOT_[A-Z0-9_]+", str(each)) for each in secrets)):
        return f'{title}.secrets must hold names that begin with BIOBOT_, as in ("BIOBOT_{name.upper()}_TOKEN",)'
    if not (is_dataclass(found.settings) and found.settings.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        return f"{title}.settings must be a frozen dataclass"
    try:
        known_types(found.settings)
    except ValueError as error:
        return str(error)
    if not isinstance(lasts, timedelta | property | None):
        return f"{title}.key_lasts must be a timedelta, FOR_EVER or None"
    if lasts is not None and found.make_key is Network.make_key:
        return f"{title}.key_lasts says what a key is worth, but there is no `make_key`"
    if not isinstance(most, property) and (type(most) is not int or most < 1):
        return f"{title}.max_length must be a whole number from 1 on"
    return None


def place(error: BaseException, origin: str) -> str:
    """Return the plugin's file, with the line where an exception came from."""
    lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == origin]
    return f"{origin}, line {lines[-1]}" if lines else origin


class Guarded:
    """A plugin's network: whatever it raises is an error that names it, and what it returns has the right types.

    No call is made while one of its secrets is missing.
    """

    def __init__(self, inner: Network, origin: str, secrets: Mapping[str, str], keys: str) -> None:
        """Guard `inner`, a plugin of the file `origin`; its `secrets` belong to the place `keys`."""
        self._inner, self._origin, self._secrets, self._keys = inner, origin, secrets, keys

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    # -- before a post -------------------------------------------------------------------------------

    def objection(self, text: str) -> str | None:
        """Return why the network would not take a text."""
        found = self._ask("objection", text)
        return found if found is None else redact.hide(str(found))

    def make_key(self, text: str, row: int, slot: datetime, now: datetime) -> str:
        """Return the key of a post."""
        found = self._ask("make_key", text, row, slot, now)
        if not isinstance(found, str) or (self._inner.key_lasts is not None and not found):
            raise PluginError(f"{self._origin}: `make_key` must return a text, not {found!r}")
        return found

    def compose(self, text: str, now: datetime) -> str:
        """Return the request that posts a text."""
        found = self._ask("compose", text, now)
        if not isinstance(found, str):
            raise PluginError(f"{self._origin}: `compose` must return a text, not {type(found).__name__}")
        return found

    # -- calls ---------------------------------------------------------------------------------------

    def me(self) -> Account:
        """Return which account the secrets belong to."""
        found = self._call("me")
        if not isinstance(found, Account):
            self._wrong("me", "an Account", found)
        return replace(found, id=self._id("me", found.id), handle=str(found.handle))

    def post(self, request: str, key: str = "") -> str:
        """Post; return the post's id."""
        return self._id("post", self._call("post", request, key))

    def timeline(self, since: datetime, limit: int = 20) -> list[Tweet]:
        """Return the account's own posts since then."""
        found = self._call("timeline", since, limit)
        if not isinstance(found, list) or not all(isinstance(each, Tweet) for each in found):
            self._wrong("timeline", "a Timeline of Tweets", found)
        reaches = getattr(found, "reaches", None)
        for moment in (reaches, *(each.created for each in found)):
            if moment is not None and (not isinstance(moment, datetime) or moment.tzinfo is None):
                self._wrong("timeline", "times with a time zone, such as datetime.now(UTC)", moment)
        return Timeline((replace(each, id=self._id("timeline", each.id)) for each in found), reaches)

    def delete(self, id: str) -> None:  # noqa: A002
        """Delete one of the own posts."""
        self._call("delete", id)

    def engagement(self, ids: Sequence[str]) -> Mapping[str, Engagement]:
        """Return what people did with own posts."""
        found = self._call("engagement", ids)
        if not isinstance(found, Mapping) or not all(isinstance(each, Engagement) for each in found.values()):
            self._wrong("engagement", "an Engagement by each id", found)
        return {str(post): each for post, each in found.items()}

    def check(self) -> Iterator[str]:
        """Yield what is to be said of the account."""
        yield from map(str, self._call("check"))

    def label(self) -> str:
        """Mark the account as a bot's."""
        return str(self._call("label"))

    def close(self) -> None:
        """Close connections, threads and files."""
        try:
            self._ask("close")
        except PluginError as error:
            log.warning("%s", error)

    # -- one call ------------------------------------------------------------------------------------

    def _call(self, method: str, *given: Any) -> Any:
        needed.require(self._secrets, self._keys)
        try:
            with self._heard():
                found = getattr(self._inner, method)(*given)
                return list(found) if method == "check" else found
        except Refused as error:
            error.remedy = error.remedy.replace(ITS_KEYS, " and ".join(self._secrets) or ITS_KEYS)
            raise
        except BiobotError:
            raise
        except (Exception, SystemExit) as error:
            raise Unknown(f"{place(error, self._origin)}: `{method}` failed: {say(error)}") from error

    def _ask(self, method: str, *given: Any) -> Any:
        try:
            with self._heard():
                return getattr(self._inner, method)(*given)
        except BiobotError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(f"{place(error, self._origin)}: `{method}` failed: {say(error)}") from error

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Log what the plugin prints meanwhile, as its words."""
        words = StringIO()
        token = listener.set(words)
        try:
            yield
        finally:
            listener.reset(token)
            for line in words.getvalue().splitlines():
                log.warning("plugin %s: %s", self._inner.name, clean(line))

    def _id(self, method: str, found: Any) -> str:
        if not found or type(found) not in (str, int):
            self._wrong(method, "an id that is a text", found)
        return str(found)

    def _wrong(self, method: str, wanted: str, found: Any) -> NoReturn:
        raise Unknown(f"{self._origin}: `{method}` must return {wanted}, not {found!r:.80}")
