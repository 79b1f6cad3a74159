"""What all figures share: colours, sheets of paper, quiet axes, and the writer."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from timbrespace.evaluation.figures.charts import Chart

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MODEL, MEAN, FLOOR, CEILING = "#D55E00", "#E69F00", "#8C8C8C", "#009E73"
DPI = 110
FORMAT: ContextVar[str] = ContextVar("format", default="png")


@contextmanager
def as_pdf() -> Iterator[None]:
    """Figures that are drawn within are PDF, for print: lines and letters stay such at any size."""
    before = FORMAT.set("pdf")
    try:
        yield
    finally:
        FORMAT.reset(before)


def sheet(width: float, height: float) -> "Figure":
    """An empty figure of so many inches, whose layout finds its own places."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def quiet(axes: "Axes") -> None:
    """A light grid, and a frame only where numbers stand."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#E5E5E5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def shorten(text: str, most: int) -> str:
    """A label of at most so many characters, drawn as it is."""
    text = text if len(text) <= most else text[: most - 1] + "…"
    text = "".join(c if c.isprintable() else "·" for c in text).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text  # matplotlib hides labels with _ in front


class Picture(bytes):
    """The file of a picture, which can be had to point at, too."""

    pointed: "Chart | None"

    def chart(self) -> "Chart | None":
        """The same for Plotly; None for one that is only a picture."""
        return self.pointed


class Drawing(bytes):
    """The file of a figure, which can be had as SVG and to point at, too."""

    figure: "Figure"

    def svg(self) -> bytes:
        """The same figure as SVG: the marks of maps and the pictures of sounds stay pixels in it. The
        same bytes every time."""
        from matplotlib import rc_context

        data = io.BytesIO()
        with rc_context({"svg.hashsalt": "timbrespace"}):
            self.figure.savefig(data, format="svg", metadata={"Date": None, "Creator": None})
        return data.getvalue()

    def chart(self) -> "Chart | None":
        """The same figure for Plotly; None for one that is only a picture."""
        from timbrespace.evaluation.figures.charts import chart

        return chart(self.figure)


def png(figure: "Figure") -> Drawing:
    """The figure as a PNG file; as PDF within `as_pdf`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    data = io.BytesIO()
    nameless = {"png": "Software", "pdf": "CreationDate"}  # the same bytes whoever draws, and when
    figure.savefig(data, format=FORMAT.get(), metadata={nameless[FORMAT.get()]: None})
    figure.set_layout_engine("none")  # its places are found
    drawing = Drawing(data.getvalue())
    drawing.figure = figure
    return drawing
