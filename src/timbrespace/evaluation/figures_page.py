"""One page of figures to point at: what the report shows as pictures, from the same marks.

It needs no network: it holds Plotly's script (MIT) and its figures. Of pictures of sounds a line says which
sound, when, what frequency and how many decibels (in steps of a 254th of their range) is pointed at; of
large ones these are means of neighbouring cells (`figures.charts`). Maps have a page of their own
(`interactive`).
"""

from collections.abc import Mapping

from timbrespace.evaluation.figures.style import Drawing, Picture
from timbrespace.evaluation.interactive import POLICY, embedded, plotly
from timbrespace.page import contents, document, escape

STYLE = "body { max-width: none; } .figure { overflow-x: auto; }"
SCRIPT = """"use strict";
const charts = JSON.parse(document.getElementById("data").textContent);

// Pictures of sounds come as bytes: 0 is no cell, 1 to 255 are zmin to zmax.
function unpacked({ cells, columns, ...trace }) {
  if (cells === undefined) return trace;
  const bytes = Uint8Array.from(atob(cells), (letter) => letter.charCodeAt(0));
  const step = (trace.zmax - trace.zmin) / 254;
  const lines = Array.from({ length: bytes.length / columns }, (_, at) => Array.from(
    bytes.subarray(at * columns, (at + 1) * columns),
    (byte) => (byte === 0 ? null : trace.zmin + (byte - 1) * step)));
  return { ...trace, z: lines };
}

function told({ data: { meta }, pointNumber: [row, column], z }) {
  const [line, place] = [Math.floor(row / meta.apart[0]), Math.floor(column / meta.apart[1])];
  const below = meta.size[0] - 1 - (row - line * meta.apart[0]);
  const second = (column - place * meta.apart[1]) * meta.seconds;
  if (z === null || meta.hertz[below] === undefined) return "";
  const name = [meta.names[line], meta.heads[place]].filter(Boolean).join(", ");
  return `${name}: ${second.toFixed(2)} s, ${meta.hertz[below].toFixed(0)} Hz, ${z.toFixed(1)} dB`;
}

function draw(place, { data, layout }) {
  return Plotly.newPlot(place, data.map(unpacked), {
    font: { family: "system-ui, sans-serif" }, barmode: "overlay", ...layout,
  }, { displaylogo: false }).then(() => {
    place.dataset.drawn = "yes";
    if (!data.some((trace) => trace.cells)) return;
    const words = place.parentElement.appendChild(document.createElement("p"));
    words.className = "quiet told";
    words.textContent = "Point at a picture to read it.";
    place.on("plotly_hover", ({ points }) => {
      const [point] = points.filter((one) => one.data.meta);
      words.textContent = point ? told(point) : "";
    });
  });
}

// A figure is drawn when it is about to be seen.
const seer = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seer.unobserve(target);
    draw(target, target.chart);
  }
}, { rootMargin: "600px" });
Object.values(charts).forEach((chart, at) => {
  const place = document.getElementById(`figure-${at}`);
  Object.assign(place.style, { width: `${chart.layout.width}px`, height: `${chart.layout.height}px` });
  place.chart = chart;
  seer.observe(place);
});
"""


def page(drawn: Mapping[str, bytes], title: str) -> str:
    """The page of the figures, by name, that are more than pictures; MissingExtra without Plotly."""
    script = plotly()
    found = {
        name: one.chart() for name, one in drawn.items() if isinstance(one, (Drawing, Picture))
    }
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
