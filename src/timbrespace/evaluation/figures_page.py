"""One page of figures to point at: what the report shows as pictures, from the same marks.

It needs no network: it holds Plotly's script (MIT) and its figures. Pictures of sounds stay in the report,
maps have a page of their own (`interactive`).
"""

from collections.abc import Mapping

from timbrespace.evaluation.figures.style import Drawing
from timbrespace.evaluation.interactive import POLICY, embedded, plotly
from timbrespace.page import contents, document, escape

STYLE = "body { max-width: none; } .figure { overflow-x: auto; }"
SCRIPT = """"use strict";
const charts = JSON.parse(document.getElementById("data").textContent);
Promise.all(Object.values(charts).map(({ data, layout }, at) => Plotly.newPlot(`figure-${at}`, data, {
  font: { family: "system-ui, sans-serif" }, barmode: "overlay", ...layout,
}, { displaylogo: false }))).then(() => { document.body.dataset.ready = "yes"; });
"""


def page(drawn: Mapping[str, bytes], title: str) -> str:
    """The page of the figures, by name, that are more than pictures; MissingExtra without Plotly."""
    script = plotly()
    found = {name: one.chart() for name, one in drawn.items() if isinstance(one, Drawing)}
    charts = {name: one for name, one in found.items() if one is not None}
    shown = [
        f"<h2>{escape(name.replace('-', ' ').capitalize())}</h2><div class='figure'>"
        f"<div id='figure-{at}' role='img' aria-label='{escape(name)}'></div></div>"
        for at, name in enumerate(charts)
    ]
    body = [
        f"<h1>{escape(title)}</h1>",
        "<p class='quiet'>Point at a mark to read its numbers. Drag to zoom, double click to see all; a "
        "click on a name in the legend hides it.</p>",
        *(contents(shown) if len(shown) > 1 else shown),
        f"<script>{script}</script>",
        f"<script type='application/json' id='data'>{embedded(charts)}</script>",
        f"<script>{SCRIPT}</script>",
    ]
    return document(title, body, STYLE, POLICY)
