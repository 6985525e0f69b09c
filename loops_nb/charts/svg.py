"""Compact SVG of a matplotlib figure: text as text, ``currentColor`` for ink, rounded coordinates, unique ids."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.colors import to_hex
from PIL import Image

from loops_nb.charts.style import DARK, INK, LIGHT, MIDDLE
from loops_nb.charts.text_metrics import text_width
from loops_nb.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.figure import Figure

#: Stands for the picture's own name inside its ids until that is known.  No text can contain it: `one_line` removes
#: control characters.
OWN = "\x00"
_SPACE = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"
_FONTS = "system-ui,-apple-system,Segoe UI,Roboto,sans-serif"
_LONGEST_TEXT = 300
#: Points of matplotlib to pixels of CSS.
_PIXELS = 4 / 3
_ASCENT, _DESCENT = 0.93, 0.24
_BOLD = 600
_PAPER = (
    f":root{{color:{DARK};background:{LIGHT}}}"
    f"@media (prefers-color-scheme:dark){{:root{{color:#ddd;background:{DARK}}}}}"
)
_NUMBER = re.compile(r"-?\d+\.\d+")
_REFERENCE = re.compile(r"#([\w.-]+)")
_COMMAND = re.compile(r"\s*([MLQCz])\s*")
#: Attributes that siblings have in common and that a group can have in their place.
_INHERITED = ("fill", "fill-opacity", "stroke", "stroke-opacity", "stroke-width", "stroke-linecap", "stroke-linejoin")
_GEOMETRY = {"d", "x", "y", "width", "height", "stroke-dasharray"}

#: What is shown while the pointer rests on an artist, by its ``gid``: a text for each marker, rows of texts for the
#: cells of a mesh (None where there is no cell).
Hovers = dict[str, "Sequence[str] | Sequence[Sequence[str | None]]"]


class _Renderer(RendererSVG):
    """matplotlib's SVG renderer without its process-wide ``svg.*`` settings, which another thread may be using."""

    def __init__(self, width: float, height: float, stream: io.StringIO) -> None:
        super().__init__(width, height, stream, metadata=dict.fromkeys(("Format", "Type", "Creator", "Date")))  # type: ignore[no-untyped-call]

    def get_text_width_height_descent(self, s: str, prop: Any, ismath: Any) -> tuple[float, float, float]:
        if ismath:
            found: tuple[float, float, float] = super().get_text_width_height_descent(s, prop, ismath)  # type: ignore[no-untyped-call]
            return found
        size = prop.get_size_in_points()
        return text_width(s, size, is_bold=_is_bold(prop)), size * (_ASCENT + _DESCENT), size * _DESCENT

    def draw_text(
        self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, ismath: Any = None, mtext: Any = None
    ) -> None:
        if ismath:
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)  # type: ignore[no-untyped-call]
            return
        if not s.strip():
            return
        size = prop.get_size_in_points()
        if angle or mtext is None:
            # A rotated text, or one line of several.  The page's font is narrower than the one that was measured: the
            # middle stays where it is.
            half = text_width(s, size, is_bold=_is_bold(prop)) / 2
            x, y = x + half * np.cos(np.deg2rad(angle)), y - half * np.sin(np.deg2rad(angle))
            anchor = "middle"
        else:
            x = mtext.get_transform().transform(mtext.get_unitless_position())[0]
            anchor = {"left": "start", "center": "middle", "right": "end"}[mtext.get_ha()]
        color = gc.get_rgb()
        attributes = {"x": f"{x:.2f}", "y": f"{y:.2f}", "font-size": f"{size:g}", "fill": to_hex(color)}
        if anchor != "start":
            attributes["text-anchor"] = anchor
        if _is_bold(prop):
            attributes["font-weight"] = "bold"
        if color[3] < 1:
            attributes["fill-opacity"] = f"{color[3]:g}"
        if angle:
            attributes["transform"] = f"rotate({-angle:g} {x:.2f} {y:.2f})"
        self.writer.element("text", one_line(s, limit=_LONGEST_TEXT), attrib=attributes)

    def draw_quad_mesh(
        self,
        gc: Any,
        master_transform: Any,
        meshWidth: int,  # noqa: N803 - matplotlib's names
        meshHeight: int,  # noqa: N803
        coordinates: Any,
        offsets: Any,
        offsetTrans: Any,  # noqa: N803
        facecolors: Any,
        antialiased: Any,
        edgecolors: Any,
    ) -> None:
        """Draw an even mesh as an image of one pixel a cell; any other as matplotlib does."""
        shape = (meshHeight + 1, meshWidth + 1, 2)
        corners = master_transform.transform(np.asarray(coordinates).reshape(-1, 2)).reshape(shape)
        colors = np.asarray(facecolors).reshape(-1, 4)
        is_plain = len(colors) == meshWidth * meshHeight
        pixels = np.round(colors * 255).astype(np.uint8)
        pixels = pixels.reshape(meshHeight, meshWidth, 4) if is_plain else pixels[None]
        if np.ptp(corners[0, :, 0]) < np.ptp(corners[0, :, 1]):
            # Its rows go up: that of a bar of colors that lies on its side.
            corners, pixels = corners.transpose(1, 0, 2), pixels.transpose(1, 0, 2)
        across, up = corners[0, :, 0], corners[:, 0, 1]
        if not (is_plain and _is_even(across) and _is_even(up)):
            super().draw_quad_mesh(
                gc,
                master_transform,
                meshWidth,
                meshHeight,
                coordinates,
                offsets,
                offsetTrans,
                facecolors,
                antialiased,
                edgecolors,
            )
            return
        if up[-1] > up[0]:
            pixels = pixels[::-1]
        if across[-1] < across[0]:
            pixels = pixels[:, ::-1]
        stream = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(stream, format="png")
        self.writer.element(
            "image",
            attrib={
                "x": f"{across.min():.2f}",
                "y": f"{self.height - up.max():.2f}",
                "width": f"{np.ptp(across):.2f}",
                "height": f"{np.ptp(up):.2f}",
                "preserveAspectRatio": "none",
                "image-rendering": "pixelated",
                "href": f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}",
            },
        )


def _is_bold(prop: Any) -> bool:
    weight = prop.get_weight()
    return weight == "bold" or (isinstance(weight, int) and weight >= _BOLD)


def _is_even(places: Any) -> bool:
    gaps = np.diff(places)
    return bool(np.allclose(gaps, gaps[0], rtol=1e-3, atol=1e-6)) and gaps[0] != 0


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure as SVG, without its name.

    Parameters
    ----------
    body : str
        The elements in it; their ids begin with `OWN`.
    plain : str
        The same without what is shown when something is pointed at.
    width, height : float
        Its size in points.
    """

    body: str
    plain: str
    width: float
    height: float

    def inline(self, own: str, title: str, description: str) -> str:
        """Return it as a part of a page, in the color of the text around it; narrow columns scale it down."""
        return self._root(
            own, title, description, self.body, 'class="loops-nb-picture" style="max-width:100%;height:auto"'
        )

    def still(self, own: str, title: str) -> str:
        """Return it as an image for a page of any color, where nothing can be pointed at."""
        return self._root(own, title, "", self.plain, f'color="{MIDDLE}"')

    def standalone(self, own: str, title: str, description: str) -> str:
        """Return it as a document with its own page: light, or dark for those who prefer that."""
        return self._root(own, title, description, f"<style>{_PAPER}</style>{self.body}", f'color="{DARK}"')

    def _root(self, own: str, title: str, description: str, body: str, attributes: str) -> str:
        size = f'width="{self.width * _PIXELS:.0f}" height="{self.height * _PIXELS:.0f}"'
        view = f'viewBox="0 0 {_short(self.width)} {_short(self.height)}"'
        return (
            f'<svg xmlns="{_SPACE}" {size} {view} role="img" aria-labelledby="{own}-title {own}-desc" '
            f'font-family="{_FONTS}" fill="currentColor" stroke-linejoin="round" {attributes}>'
            f'<title id="{own}-title">{_text(title)}</title><desc id="{own}-desc">{_text(description)}</desc>'
            f"{body.replace(OWN, own)}</svg>"
        )


def figure_svg(figure: Figure, hovers: Hovers) -> Drawing:
    """Return a figure as SVG."""
    dpi = figure.dpi
    figure.set_dpi(72)
    try:
        width, height = (float(inches) * 72 for inches in figure.get_size_inches())
        stream = io.StringIO()
        renderer = _Renderer(width, height, stream)
        figure.draw(renderer)
        renderer.finalize()  # type: ignore[no-untyped-call]
    finally:
        figure.set_dpi(dpi)
    root = ET.fromstring(stream.getvalue())  # noqa: S314 - our own renderer wrote it
    names = {name: f"{OWN}-{number}" for number, name in enumerate(dict.fromkeys(_references(root)))}

    def markup(texts: Hovers) -> str:
        return "".join(_markup(child) for element in root for child in _compact(element, texts, names))

    return Drawing(markup(hovers), markup({}), width, height)


def _references(root: ET.Element) -> Iterator[str]:
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == _LINK or "url(" in value:
                yield from _REFERENCE.findall(value)


def _compact(element: ET.Element, hovers: Hovers, names: Mapping[str, str]) -> list[ET.Element]:
    """Return what stays of an element: short attributes, hover texts, no group without a purpose."""
    tag = element.tag.rpartition("}")[2]
    if tag in {"metadata", "style"}:
        return []
    attributes = _attributes(element, names)
    children = [found for child in element for found in _compact(child, hovers, names)]
    texts = hovers.get(element.get("id", ""))
    if texts:
        children = _with_hovers(children, texts)
    if tag == "g":
        _hoist(children, attributes)
    if tag in {"g", "defs"} and (not children or (tag == "g" and not attributes)):
        return children
    if tag == "path" and attributes.get("fill") == "none" and "stroke" not in attributes:
        return []
    compact = ET.Element(tag, attributes)
    compact.text = element.text if tag == "text" else None
    compact.extend(children)
    return [compact]


def _attributes(element: ET.Element, names: Mapping[str, str]) -> dict[str, str]:
    given = dict(element.attrib)
    for declaration in given.pop("style", "").split(";"):
        name, _, value = declaration.partition(":")
        given[name] = value
    found = {}
    for name, value in given.items():
        key, text = name.strip().rpartition("}")[2], value.strip()
        if not text:
            continue
        if key == "id":
            if text in names:
                found[key] = names[text]
            continue
        if name == _LINK or "url(" in text:
            text = _REFERENCE.sub(lambda match: f"#{names[match[1]]}", text)
        if text == INK:
            text = "currentColor"
            if key == "fill":
                # As the whole picture has it.
                continue
        if key == "d":
            text = _COMMAND.sub(r"\1", " ".join(text.split()))
        found[key] = text if key == "href" else _rounded(text, _digits(key, is_marker="id" in element.attrib))
    return found


def _digits(key: str, *, is_marker: bool) -> int:
    if key == "transform":
        return 4
    # A marker is defined around zero, and is small.
    return 1 if key in _GEOMETRY and not is_marker else 2


def _rounded(text: str, digits: int) -> str:
    return _NUMBER.sub(lambda match: _short(float(match[0]), digits), text)


def _hoist(children: Sequence[ET.Element], attributes: dict[str, str]) -> None:
    """Move attributes that all drawn children have in common to their group."""
    drawn = [child for child in children if child.tag not in {"defs", "title"}]
    if len(drawn) < 2:  # noqa: PLR2004
        return
    for key in _INHERITED:
        value = drawn[0].get(key)
        if value is not None and key not in attributes and all(child.get(key) == value for child in drawn):
            attributes[key] = value
            for child in drawn:
                del child.attrib[key]


def _with_hovers(children: list[ET.Element], texts: Sequence[Any]) -> list[ET.Element]:
    image = next((child for child in _all(children) if child.tag == "image"), None)
    if image is not None:
        return [*children, _cells(image, texts)]
    drawn = [child for child in _all(children) if child.tag in {"use", "text"}]
    for child, text in zip(drawn, texts, strict=False):
        _add_title(child, text)
    return children


def _all(children: Sequence[ET.Element]) -> Iterator[ET.Element]:
    for child in children:
        yield from child.iter()


def _cells(image: ET.Element, rows: Sequence[Sequence[str | None]]) -> ET.Element:
    """Return invisible cells over the image of a mesh that say their values."""
    x, y, width, height = (float(image.get(name, "0")) for name in ("x", "y", "width", "height"))
    scale = f"translate({x:g} {y:g})scale({width / len(rows[0]):.6g} {height / len(rows):.6g})"
    cells = ET.Element("g", {"transform": scale, "pointer-events": "stroke"})
    for number, row in enumerate(rows):
        line = ET.SubElement(cells, "g", {"transform": f"translate(0 {number + 0.5:g})"})
        for place, text in enumerate(row):
            if text is not None:
                _add_title(ET.SubElement(line, "path", {"d": f"M{place} 0h1"}), text)
    return cells


def _add_title(element: ET.Element, text: str) -> None:
    title = ET.Element("title")
    title.text = "\n".join(one_line(line, limit=_LONGEST_TEXT) for line in text.split("\n"))
    element.append(title)


def _markup(element: ET.Element) -> str:
    attributes = "".join(f' {name}="{_value(value)}"' for name, value in element.attrib.items())
    inner = escape(element.text or "", quote=False) + "".join(map(_markup, element))
    return f"<{element.tag}{attributes}>{inner}</{element.tag}>" if inner else f"<{element.tag}{attributes}/>"


def _value(text: str) -> str:
    return escape("".join(c if c.isprintable() or c == OWN else " " for c in text))


def _text(text: str) -> str:
    return escape(one_line(text, limit=_LONGEST_TEXT), quote=False)


def _short(value: float, digits: int = 2) -> str:
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text
