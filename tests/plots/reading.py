"""Reads pictures as a browser would."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

SVG = "{http://www.w3.org/2000/svg}"


def read(svg: str) -> ET.Element:
    """Return the picture as a tree; it must be well-formed XML."""
    return ET.fromstring(svg)  # noqa: S314 - what we made ourselves


def hovers(root: ET.Element) -> list[str]:
    """Return what is shown while the pointer rests on a mark, a cell or a label: not the title of the picture."""
    return [title.text or "" for parent in root.iter() for title in parent.findall(f"{SVG}title") if parent is not root]


def words(root: ET.Element) -> list[str]:
    """Return the texts that are written."""
    return ["".join(part for part in text.itertext()) for text in root.iter(f"{SVG}text")]


def with_hover(root: ET.Element, name: str) -> list[ET.Element]:
    """Return the elements of a name that say something when pointed at."""
    return [one for one in root.iter(f"{SVG}{name}") if one.find(f"{SVG}title") is not None]


def bundle(plot: Any) -> dict[str, str]:
    """Return what a notebook keeps of a plot."""
    found: dict[str, str] = plot._repr_mimebundle_()
    return found
