// The page of maps: one Plotly figure of panels, marks over it for the sound that is pointed at.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const plot = document.getElementById("plot"), stage = document.getElementById("maps");
  const said = document.getElementById("said");
  const [colour, kind, labels, find] = ["colour", "kind", "labels", "find"].map((id) =>
    document.getElementById(id));
  const NAMED = 20; // names with a colour of their own, as in the report's maps
  const ALL = "all";
  const gl = !!document.createElement("canvas").getContext("webgl");
  const heard = Object.keys(data.sounds).map(Number);
  const audio = new Audio();
  let panels = []; // {run, kind, place: sound -> position}
  let chosen = null;

  for (const run of data.runs) run.place = new Map(run.ids.map((id, at) => [id, at]));

  const option = (select, value, text) => select.add(new Option(text, value));
  const columns = [...new Set(data.runs.flatMap((run) => Object.keys(run.columns)))];
  const first = ["family", "pitch"].filter((name) => columns.includes(name));
  for (const name of [...first, ...columns.filter((name) => !first.includes(name))])
    option(colour, name, name);
  if (!columns.length) option(colour, "", "nothing");
  const kinds = Object.keys(data.kinds);
  if (kinds.length > 1) option(kind, ALL, kinds.map((k) => data.kinds[k]).join(" and "));
  for (const k of kinds) option(kind, k, data.kinds[k]);
  // one run: its maps side by side; several: one map of each
  kind.value = kinds.length > 1 && data.runs.length === 1 ? ALL : kinds[kinds.length - 1];

  // Plotly reads tags in every text: names of files are shown as they are
  const plain = (text) => String(text).replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);
  const short = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

  function value(run, name, at) {
    const column = run.columns[name];
    if (!column) return null;
    if (column.numbers) return column.numbers[at];
    return column.codes[at] === null ? null : column.words[column.codes[at]];
  }

  function median(numbers) {
    const sorted = numbers.slice().sort((a, b) => a - b);
    return sorted[sorted.length >> 1];
  }

  function shownNames(name) {
    const count = new Map();
    for (const run of data.runs)
      for (let at = 0; at < run.ids.length; at++) {
        const word = String(value(run, name, at) ?? "unknown");
        count.set(word, (count.get(word) ?? 0) + 1);
      }
    const order = [...count.keys()].sort((a, b) => count.get(b) - count.get(a));
    return { shown: order.slice(0, NAMED).sort(), others: order.length - NAMED };
  }

  function trace(panel, number, at, look) {
    const { run } = panel, [x, y] = run.maps[panel.kind];
    const any = run.measured.some(Boolean);
    return {
      type: gl ? "scattergl" : "scatter", mode: "markers", hoverinfo: "none",
      x: at.map((i) => x[i]), y: at.map((i) => y[i]), customdata: at.map((i) => run.ids[i]),
      xaxis: `x${number || ""}`, yaxis: `y${number || ""}`, ...look,
      marker: {
        ...look.marker,
        size: at.map((i) => (run.measured[i] || !any ? 8 : 4)),
        opacity: at.map((i) => (run.measured[i] || !any ? 0.9 : 0.4)),
        line: { color: "#222", width: at.map((i) => (run.ids[i] in data.sounds ? 1.6 : 0)) },
      },
    };
  }

  // Names at the middle of their sounds, moved up or down where one would cover another.
  function apart(panel, number, named, width, height) {
    const [x, y] = panel.run.maps[panel.kind];
    const span = (all) => all.reduce((most, v) => Math.max(most, v), -Infinity) -
      all.reduce((least, v) => Math.min(least, v), Infinity) || 1;
    const perX = width / (1.1 * span(x)), perY = height / (1.1 * span(y)), taken = [];
    return named.map(([word, at]) => {
      const text = short(word, 18), half = 3.5 * text.length + 4;
      const middle = [median(at.map((i) => x[i])), median(at.map((i) => y[i]))];
      const left = middle[0] * perX, up = middle[1] * perY;
      const free = (by) => taken.every(([l, u, h]) =>
        Math.abs(l - left) > h + half || Math.abs(u - up - by) > 16);
      const by = [0, 16, -16, 32, -32, 48, -48, 64, -64].find(free) ?? 0;
      taken.push([left, up + by, half]);
      return {
        text: plain(text), showarrow: false, font: { size: 11, color: "#111" }, yshift: by,
        bgcolor: "rgba(255,255,255,.75)", borderpad: 1, x: middle[0], y: middle[1],
        xref: `x${number || ""}`, yref: `y${number || ""}`,
      };
    });
  }

  function draw() {
    const name = colour.value, wide = plot.clientWidth || 900;
    const shownKinds = kind.value === ALL ? kinds : [kind.value];
    panels = data.runs.flatMap((run) => shownKinds.map((k) => ({ run, kind: k })));
    const most = wide < 640 ? 1 : wide < 1000 ? 2 : 3;
    const across = Math.min(panels.length, shownKinds.length > 1 ? Math.min(most, 2) : most);
    const down = Math.ceil(panels.length / across);
    const numbers = data.runs.some((run) => run.columns[name]?.numbers);
    const names = numbers ? null : shownNames(name);
    const traces = [], annotations = [];
    const height = down === 1 ? Math.max(420, Math.min(640, innerHeight - 260)) : 430 * down;
    const layout = {
      height, margin: { l: 10, r: 10, t: 30, b: 10 }, hovermode: "closest", dragmode: "zoom",
      font: { family: "system-ui, sans-serif", size: 12 }, annotations, hoverdistance: 12,
      legend: { itemsizing: "constant", tracegroupgap: 0 }, uirevision: kind.value,
      coloraxis: { colorscale: "Cividis", colorbar: { title: { text: plain(name) }, thickness: 12 } },
    };
    panels.forEach((panel, place) => {
      const number = place ? place + 1 : 0, gap = 0.02;
      const row = Math.floor(place / across), column = place % across;
      const x0 = column / across, y1 = 1 - row / down;
      const line = {
        showticklabels: false, showgrid: false, zeroline: false, ticks: "", showline: true,
        mirror: true, linecolor: "#ccc",
      };
      layout[`xaxis${number || ""}`] = {
        ...line, anchor: `y${number || ""}`,
        domain: [x0 + (column ? gap / 2 : 0), x0 + 1 / across - (column < across - 1 ? gap / 2 : 0)],
      };
      layout[`yaxis${number || ""}`] = {
        ...line, anchor: `x${number || ""}`,
        domain: [y1 - 1 / down + (row < down - 1 ? 16 / height : 0), y1 - (row ? 26 / height : 0)],
      };
      annotations.push({
        text: plain(short(`${panel.run.run}: ${data.kinds[panel.kind]}`, 60)), showarrow: false,
        xref: `x${number || ""} domain`, yref: `y${number || ""} domain`, x: 0, y: 1,
        xanchor: "left", yanchor: "bottom", font: { size: 13, color: "#111" },
      });
      const every = [...panel.run.ids.keys()];
      if (numbers) {
        const unknown = every.filter((at) => value(panel.run, name, at) === null);
        const known = every.filter((at) => value(panel.run, name, at) !== null);
        traces.push(trace(panel, number, unknown, {
          name: "unknown", showlegend: false, marker: { color: data.grey },
        }));
        traces.push(trace(panel, number, known, {
          name: plain(name), showlegend: false,
          marker: { color: known.map((at) => value(panel.run, name, at)), coloraxis: "coloraxis" },
        }));
        return;
      }
      const named = [];
      const group = new Map([...names.shown, null].map((word) => [word, []]));
      for (const at of every) {
        const word = String(value(panel.run, name, at) ?? "unknown");
        (group.get(word) ?? group.get(null)).push(at);
      }
      for (const [word, at] of group) {
        const nth = names.shown.indexOf(word);
        const text = word === null ? `${names.others} others` : word;
        if (word === null && names.others <= 0) continue;
        const marker = word === null ? { color: data.grey } : {
          color: data.colours[nth % data.colours.length],
          symbol: data.symbols[nth % data.symbols.length],
        };
        const look = { name: plain(short(text, 28)), legendgroup: plain(text) };
        traces.push(trace(panel, number, at, { ...look, showlegend: false, marker }));
        if (place === 0) // what the legend shows: a full mark, whatever the first sound's is
          traces.push({
            ...look, type: "scatter", mode: "markers", x: [null], y: [null],
            marker: { ...marker, size: 9 },
          });
        if (word !== null && at.length) named.push([word, at]);
      }
      if (labels.checked && named.length > 1)
        annotations.push(...apart(panel, number, named, (0.9 * wide) / across, height / down));
    });
    return Plotly.react(plot, traces, layout, {
      responsive: true, displaylogo: false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    }).then(mark);
  }

  function where(panel, number, id) {
    const at = panel.run.place.get(id);
    if (at === undefined) return null;
    const xaxis = plot._fullLayout[`xaxis${number || ""}`];
    const yaxis = plot._fullLayout[`yaxis${number || ""}`];
    const [x, y] = panel.run.maps[panel.kind];
    const left = xaxis.d2p(x[at]), top = yaxis.d2p(y[at]);
    if (left < 0 || top < 0 || left > xaxis._length || top > yaxis._length) return null;
    return {
      left: xaxis._offset + left, top: yaxis._offset + top, at, right: left > 0.6 * xaxis._length,
    };
  }

  function facts(run, at) {
    const error = ["error, dB"].map((name) => value(run, name, at)).filter((v) => v !== null);
    const own = colour.value, told = ["family", "pitch", "error, dB"];
    const more = told.includes(own) ? null : value(run, own, at);
    return [
      ...error.map((v) => `error ${v.toFixed(1)} dB`),
      ...(more === null ? [] : [`${own} ${more}`]),
    ];
  }

  // A ring in every panel where the sound lies, with what its run says of it.
  function mark(id = chosen) {
    for (const old of stage.querySelectorAll(".mark")) old.remove();
    if (typeof id !== "number") return;
    panels.forEach((panel, place) => {
      const found = where(panel, place ? place + 1 : 0, id);
      if (!found) return;
      const ring = document.createElement("div"), words = document.createElement("span");
      ring.className = found.right ? "mark left" : "mark";
      ring.style.left = `${found.left}px`;
      ring.style.top = `${found.top}px`;
      words.textContent = [short(data.names[id], 60), ...facts(panel.run, found.at)].join("\n");
      ring.append(words);
      stage.append(ring);
    });
  }

  function say(id, more) {
    const told = data.runs.flatMap((run) => {
      const at = run.place.get(id);
      if (at === undefined) return [];
      const known = facts(run, at).join(", ");
      return known ? [data.runs.length > 1 ? `${run.run}: ${known}` : known] : [];
    });
    said.textContent = [data.names[id], ...told, more].join("; ");
  }

  function choose(id) {
    chosen = id;
    mark();
    audio.pause();
    if (!(id in data.sounds)) {
      say(id, "not among the sounds that can be heard here; the explorer plays all");
      return;
    }
    audio.src = `data:audio/flac;base64,${data.sounds[id]}`;
    say(id, "playing");
    audio.play().catch(() => say(id, "this browser does not play it"));
  }

  function step(by) {
    if (!heard.length) return;
    const at = heard.indexOf(chosen);
    choose(heard[at < 0 ? (by > 0 ? 0 : heard.length - 1) : (at + by + heard.length) % heard.length]);
  }

  function search() {
    const words = find.value.trim().toLowerCase();
    if (!words) return;
    const from = chosen === null ? -1 : chosen, count = data.names.length;
    for (let by = 1; by <= count; by++) {
      const id = (from + by) % count;
      if (data.names[id].toLowerCase().includes(words)) return choose(id);
    }
    said.textContent = `no sound is called ${find.value}`;
  }

  colour.onchange = kind.onchange = labels.onchange = draw;
  find.onkeydown = (event) => { if (event.key === "Enter") search(); };
  document.getElementById("before").onclick = () => step(-1);
  document.getElementById("next").onclick = () => step(1);
  draw().then(() => {
    plot.on("plotly_hover", (event) => mark(event.points[0].customdata));
    plot.on("plotly_unhover", () => mark());
    plot.on("plotly_click", (event) => choose(event.points[0].customdata));
    plot.on("plotly_afterplot", () => mark());
    document.body.dataset.ready = "yes";
  });
})();
