"""Reads charts as a browser would."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
from PIL import Image

SVG = "{http://www.w3.org/2000/svg}"


def read(svg: str) -> ET.Element:
    """Return the picture as a tree; it must be well-formed XML."""
    return ET.fromstring(svg)  # noqa: S314 - what we made ourselves


def hovers(root: ET.Element) -> list[str]:
    """Return what is shown while the pointer rests on a mark, a cell or a label: not the title of the picture."""
    return [title.text or "" for parent in root.iter() for title in parent.findall(f"{SVG}title") if parent is not root]


def words(root: ET.Element) -> list[str]:
    """Return the texts that are written."""
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def with_hover(root: ET.Element, name: str) -> list[ET.Element]:
    """Return the elements of a name that say something when pointed at."""
    return [one for one in root.iter(f"{SVG}{name}") if one.find(f"{SVG}title") is not None]


def marks(root: ET.Element) -> dict[str, tuple[float, float]]:
    """Return where the markers of checkpoints are, by their URIs without the scheme."""
    return {
        hover(one).split("\n")[0].removeprefix("bt://loops:"): (float(one.attrib["x"]), float(one.attrib["y"]))
        for one in with_hover(root, "use")
    }


def hover(element: ET.Element) -> str:
    """Return what an element says when it is pointed at."""
    title = element.find(f"{SVG}title")
    return "" if title is None else title.text or ""


def shape(root: ET.Element, mark: ET.Element) -> str:
    """Return the path that a marker uses."""
    name = mark.attrib["href"].removeprefix("#")
    return next(one.attrib["d"] for one in root.iter(f"{SVG}path") if one.attrib.get("id") == name)


def size_of(path: str) -> float:
    """Return how wide a marker's path is."""
    across = [float(number) for number in re.findall(r"-?[\d.]+", path)[::2]]
    return max(across) - min(across)


def images(root: ET.Element) -> list[Any]:
    """Return the pixels of the images in it, rows of (red, green, blue, opacity): a pixel is a cell."""
    found = []
    for image in root.iter(f"{SVG}image"):
        data = base64.b64decode(image.attrib["href"].partition("base64,")[2])
        found.append(np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(int))
    return found


def bundle(plot: Any) -> dict[str, str]:
    """Return what a notebook keeps of a plot."""
    found: dict[str, str] = plot._repr_mimebundle_()
    return found
