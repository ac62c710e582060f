"""HTML by functions: everything that is not already markup is escaped.

>>> tag("b", "a < b", class_="x")
'<b class="x">a &lt; b</b>'
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_VOID = frozenset({"img", "meta", "br"})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Html(str):
    """Text that is markup already. Joined to a plain string it becomes plain, and is escaped."""

    __slots__ = ()


def escape(text: object) -> Html:
    """Plain text as markup; control characters, which HTML forbids, become U+FFFD."""
    if isinstance(text, Html):
        return text
    return Html(html.escape(_CONTROL.sub("\ufffd", str(text)), quote=True))


def join(parts: Iterable[str], between: str = "") -> Html:
    """The parts one after another, each escaped unless it is markup."""
    return Html(escape(between).join(escape(part) for part in parts))


def tag(name: str, /, *children: str, **attributes: object) -> Html:
    """One element. `class_` means `class`, `data_x` means `data-x`; None leaves one out."""
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{join(children)}</{name}>")


def file_name(path: str) -> Html:
    """A file's name as text of its own: its writing direction cannot reorder what stands near."""
    return tag("bdi", path, class_="file")


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(value)}"'
