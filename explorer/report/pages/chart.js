// The scatter plot of both pages, as a specification of Vega-Lite.

// Points that no other beats in x and y, the least x first; `more` says where more is better.
function frontOf(rows, more) {
  const sign = [more.x ? -1 : 1, more.y ? -1 : 1];
  const ordered = [...rows].sort((a, b) => sign[0] * (a.x - b.x) || sign[1] * (a.y - b.y));
  const best = [];
  let least = Infinity;
  for (const row of ordered) {
    const last = best.at(-1);
    if (sign[1] * row.y < least) {
      least = sign[1] * row.y;
      best.push(row);
    } else if (last && last.x === row.x && last.y === row.y) best.push(row);
  }
  return more.x ? best.reverse() : best;
}

// Logarithmic where the values span much; where zero is among them, logarithmic from one on.
function scaleOf(values, log, domain) {
  const finite = values.filter(Number.isFinite);
  const [low, high] = domain ?? [Math.min(...finite), Math.max(...finite)];
  const margin = low === high ? Math.abs(low) * 0.1 || 1 : 0;
  const fixed = { domain: [low - margin, high + margin], nice: false, padding: domain ? 0 : 12 };
  if (!log || low < 0 || high <= 0) return { scale: { type: "linear", ...fixed, zero: false } };
  if (low > 0) return { scale: { type: "log", ...fixed } };
  const ticks = [0];
  for (let tick = 1; tick <= high; tick *= 10) ticks.push(tick);
  return { scale: { type: "symlog", ...fixed }, ticks };
}

function isWide(values) {
  const finite = values.filter(v => Number.isFinite(v) && v > 0);
  return finite.length > 0 && Math.max(...finite) / Math.min(...finite) > 8;
}

function axisOf(place, column, size) {
  const ticks = column.ticks ? { values: column.ticks } : {};
  const format = column.share ? ".3~f" : "~s";
  return {
    field: place, type: "quantitative", title: column.title, scale: column.scale,
    axis: { ...ticks, format, tickCount: Math.max(2, Math.round(size / 70)) },
  };
}

// What is drawn. `columns` has title, scale, ticks and share for x, y and c (the colour, or null);
// a row has i, x, y, c, facet, front, reference and match; `facet` is null or the facets in order;
// `tips` are pairs of field and title.
function scatter({ rows, line, columns, facet, width, height, tips, name }) {
  const across = facet ? Math.max(1, Math.min(4, Math.floor(width / 230))) : 1;
  const inner = facet ? Math.floor((width - 70 - 22 * across) / across) : width;
  const tall = facet ? Math.max(150, Math.min(240, Math.round(inner * 0.75))) : height;
  const x = axisOf("x", columns.x, inner), y = axisOf("y", columns.y, tall);
  const tooltips = tips.map(([field, title]) => ({ field, title, type: "nominal" }));
  const inside = "datum.match && datum.x >= low_x && datum.x <= high_x && datum.y >= low_y && datum.y <= high_y";
  const viridis = { scheme: { name: "viridis", extent: dark.matches ? [0.25, 1] : [0, 0.88] } };
  const painted = columns.c && {
    field: "c", type: "quantitative", title: columns.c.title,
    scale: { ...columns.c.scale, ...viridis, padding: undefined },
    legend: {
      orient: "top", direction: "horizontal", gradientLength: Math.min(260, width / 2),
      gradientThickness: 10, format: columns.c.share ? ".3~f" : "~s", tickCount: 4,
      ...(columns.c.ticks ? { values: columns.c.ticks } : {}),
    },
  };
  const ringed = { x, y, tooltip: tooltips };
  const layer = [
    {
      data: { name: "line" },
      mark: { type: "line", interpolate: columns.x.more ? "step-before" : "step-after", color: colour("front"), strokeWidth: 1.5, aria: false },
      encoding: { x, y, order: { field: "x", type: "quantitative" } },
    },
    {
      params: [{ name: "brush", select: { type: "interval", mark: { fill: colour("soft"), stroke: colour("ink") } } }],
      mark: { type: "circle", size: facet ? 26 : 44, aria: false, cursor: "pointer", color: colour("front") },
      encoding: {
        x, y, tooltip: tooltips,
        ...(painted ? { color: painted } : {}),
        opacity: { condition: { test: inside, value: 0.85 }, value: 0.08 },
      },
    },
    {
      transform: [{ filter: "datum.front" }],
      mark: { type: "point", shape: "circle", size: facet ? 60 : 110, filled: false, strokeWidth: 1.8, color: colour("front"), aria: false, cursor: "pointer" },
      encoding: ringed,
    },
    {
      transform: [{ filter: "datum.reference" }],
      mark: { type: "point", shape: "diamond", size: 220, filled: true, fill: colour("reference"), stroke: colour("paper"), strokeWidth: 1.5, aria: false, cursor: "pointer" },
      encoding: ringed,
    },
    {
      transform: [{ filter: "datum.i === chosen" }],
      mark: { type: "point", shape: "cross", size: 260, filled: true, fill: colour("chosen"), stroke: colour("paper"), strokeWidth: 1.5, aria: false },
      encoding: ringed,
    },
  ];
  const spec = {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    description: name,
    params: [
      { name: "chosen", value: -1 },
      { name: "low_x", value: -1e300 }, { name: "high_x", value: 1e300 },
      { name: "low_y", value: -1e300 }, { name: "high_y", value: 1e300 },
    ],
    datasets: { points: rows, line: line ?? [] },
    data: { name: "points" },
  };
  if (!facet) {
    return { ...spec, layer, width, height: tall, autosize: { type: "fit", contains: "padding" } };
  }
  const cut = `lastindexof(substring(datum.value, 0, ${Math.floor(inner / 6.5)}), '+') + 1`;
  const halves = `[substring(datum.value, 0, ${cut}), substring(datum.value, ${cut})]`;
  const labelExpr = `length(datum.value) * 6.5 > ${inner} ? ${halves} : datum.value`;
  const header = { labelLimit: inner, title: null, labelAnchor: "start", labelExpr };
  return {
    ...spec, columns: across, spacing: 14, spec: { layer, width: inner, height: tall },
    facet: { field: "facet", type: "nominal", title: null, header, sort: facet },
  };
}

// The ranges of x and y that have been brushed; null if none.
function brushed(view) {
  const stored = view.data("brush_store")[0];
  if (!stored || !stored.values) return null;
  const found = {};
  stored.fields.forEach((field, i) => {
    const [a, b] = stored.values[i].map(Number);
    found[field.channel] = [Math.min(a, b), Math.max(a, b)];
  });
  const { x, y } = found;
  return x && y && x[0] < x[1] && y[0] < y[1] ? { x, y } : null;
}

function setRange(view, range) {
  for (const place of ["x", "y"]) {
    view.signal(`low_${place}`, range?.[place]?.[0] ?? -1e300);
    view.signal(`high_${place}`, range?.[place]?.[1] ?? 1e300);
  }
}

// Calls with the number of a point that is clicked. What lies under the pointer is noted when it
// is pressed: from then on the brush lies above the points.
function onPoint(view, call) {
  let pressed = null;
  view.addEventListener("pointerdown", (event, item) => {
    pressed = { i: item?.datum?.i, x: event.clientX, y: event.clientY };
  });
  view.addEventListener("click", event => {
    const still = pressed && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) < 4;
    if (still && Number.isInteger(pressed.i)) call(pressed.i);
  });
}
