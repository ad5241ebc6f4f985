// What follows from one embedding: lanes, layouts, loops, schedule, cycles, timeline.

const mixed = (n, of) => {
  // From blue to yellow over the elements of a block: cividis, by five of its colours.
  const stops = [[0, 32, 76], [64, 77, 108], [124, 123, 120], [188, 174, 108], [255, 233, 69]];
  const at = of > 1 ? 4 * n / (of - 1) : 2, low = Math.min(3, Math.floor(at)), part = at - low;
  const rgb = stops[low].map((v, i) => Math.round(v + part * (stops[low + 1][i] - v)));
  return { background: `rgb(${rgb})`, color: rgb[1] > 115 ? "#000" : "#fff" };
};

function section(title, ...content) {
  return make("section", {}, make("h3", {}, title), ...content);
}

function lines(texts) {
  return make("pre", { tabindex: 0 }, texts.join("\n"));
}

function drawBlock(block) {
  const { port, tensor, axes, cells, held } = block;
  const across = axes.at(-1)?.[1] ?? 1, rows = [];
  for (let start = 0; start < cells.length; start += across) {
    const row = cells.slice(start, start + across);
    rows.push(make("tr", {}, ...row.map(cell => {
      const what = !cell.used ? "idle" : cell.flat < 0 ? "in the padding" : `${tensor.name}[${cell.index}]`;
      const made = make("td", { title: what, class: cell.used ? cell.flat < 0 ? "outside" : "held" : "idle" }, cell.mark);
      if (cell.flat >= 0) Object.assign(made.style, mixed(cell.rank, held.length));
      return made;
    })));
  }
  while (rows.length > 1 && cells.slice((rows.length - 1) * across, rows.length * across).every(c => !c.used)) rows.pop();
  const idle = cells.length / across - rows.length;
  const shape = axes.map(([name, extent]) => `${name} < ${extent}`).join(", ");
  return make("figure", {},
    make("figcaption", {}, `port ${port}[${shape}]: ${held.length} different elements of ${tensor.name}`),
    make("div", { class: "scroll" }, make("table", { class: "block" }, make("tbody", {}, ...rows))),
    ...(idle ? [make("p", { class: "aside" }, `and ${idle} idle row${idle > 1 ? "s" : ""}`)] : []));
}

function drawAxis({ name, dims, cells }) {
  const row = (title, values) => make("tr", {}, make("th", { scope: "row" }, title), ...values);
  const extents = dims.map((_, d) => Math.max(...cells.map(c => c.values[d])) + 1);
  return make("figure", {}, make("figcaption", {}, `axis ${name}`),
    make("div", { class: "scroll" }, make("table", { class: "axis" }, make("tbody", {},
      row("lane", cells.map(c => make("td", {}, String(c.lane)))),
      ...dims.map((dim, d) => row(dim, cells.map(c => {
        const cell = make("td", { class: c.works ? "held" : "idle" }, c.works ? String(c.values[d]) : ".");
        if (c.works) Object.assign(cell.style, mixed(Math.max(0, c.values[d]), Math.max(2, extents[d])));
        return cell;
      })))))));
}

// The lanes of a term's steps; only of several it says which term, and numbers what is named.
function lanesSection(about, loops, term, several) {
  const steps = stepsOf(loops), suffix = term ? `-${term + 1}` : "";
  const body = make("div", { id: `lanes${suffix}` });
  const number = make("input", { type: "number", min: 0, max: steps - 1, value: 0, id: `step${suffix}` });
  const slide = make("input", { type: "range", min: 0, max: steps - 1, value: 0, "aria-label": "step" });
  const update = source => {
    const step = Math.max(0, Math.min(steps - 1, Math.floor(Number(source.value)) || 0));
    for (const other of [number, slide]) if (other !== source) other.value = step;
    const { blocks, busy, total } = blocksAt(about, loops, step);
    body.replaceChildren(...axesAt(about, loops, step).map(drawAxis), ...blocks.map(drawBlock),
      make("p", {}, `${busy} of ${total} lanes work (${percent(busy, total)})`));
  };
  number.addEventListener("input", () => update(number));
  slide.addEventListener("input", () => update(slide));
  update(number);
  const title = several > 1 ? `Lanes of term ${term + 1}` : "Lanes";
  return section(title, make("p", { class: "controls" },
    make("label", {}, "step ", number), slide, ` of ${exact.format(steps)}`), body);
}

function cyclesSpec(about, modules, width) {
  const names = ["load", "compute", "store"], states = about.states;
  const values = modules.flatMap((parts, m) => parts.map((cycles, s) => ({
    module: names[m], state: states[s], cycles, order: s,
    share: percent(cycles, parts.reduce((a, b) => a + b, 0)), text: shown(cycles),
  })));
  return {
    width: width - 90, height: { step: 26 }, data: { values }, mark: { type: "bar", height: 18 },
    encoding: {
      y: { field: "module", type: "nominal", sort: names, title: null },
      x: { field: "cycles", type: "quantitative", title: "cycles", axis: { format: "~s", tickCount: 4 }, scale: { nice: false } },
      color: {
        field: "state", type: "nominal", sort: states, title: null,
        scale: { domain: states, range: [...STATE_COLOURS, colour("idle")] },
        legend: { orient: "bottom", columns: 2 },
      },
      order: { field: "order" },
      tooltip: ["module", "state", "text", "share"].map(field => ({ field, title: field === "text" ? "cycles" : field, type: "nominal" })),
    },
  };
}

function cyclesSection(about, [, , , , modules, beats, bytes], cycles) {
  const picture = make("div", { class: "picture", role: "img", "aria-label": "cycles of each module by what it does, as in the table below" });
  const head = make("tr", {}, make("th", {}, "module"), ...about.states.map(s => make("th", { scope: "col" }, s)));
  const rows = ["load", "compute", "store"].map((name, m) => make("tr", {}, make("th", { scope: "row" }, name),
    ...modules[m].map(n => make("td", {}, `${shown(n)} (${percent(n, cycles)})`))));
  const moved = bytes.map(([name, count]) => `${name} ${shown(count)}`).join(", ");
  return [section("Where the cycles went", picture,
    make("div", { class: "scroll" }, make("table", { class: "plain" }, make("thead", {}, head), make("tbody", {}, ...rows))),
    make("p", {}, `The read channel moves data ${percent(beats, cycles)} of the time.`),
    make("p", {}, `DRAM bytes: ${moved}`)),
  width => draw(picture, cyclesSpec(about, modules, width), false)];
}

function timelineSpec(about, timeline, modules, cycles, width) {
  const stripes = timeline[0][0].length, states = about.states.slice(0, -1);
  const values = timeline.flatMap((parts, m) => Array.from({ length: stripes }, (_, n) => n).flatMap(n => {
    let low = 0;
    return states.map((state, s) => ({
      module: modules[m], state, low, high: low += parts[s][n],
      begin: n * cycles / stripes, end: (n + 1) * cycles / stripes,
    })).filter(bar => bar.high > bar.low);
  }));
  return {
    data: { values }, spacing: 4,
    facet: { row: { field: "module", type: "nominal", sort: modules, title: null, header: { labelAngle: 0, labelAlign: "left" } } },
    spec: {
      width: width - 90, height: 34, mark: { type: "rect", aria: false },
      encoding: {
        x: { field: "begin", type: "quantitative", title: "cycles", axis: { format: "~s", tickCount: 4, grid: false }, scale: { domain: [0, cycles], nice: false } },
        x2: { field: "end" },
        y: { field: "low", type: "quantitative", title: null, axis: null, scale: { domain: [0, 100] } },
        y2: { field: "high" },
        color: {
          field: "state", type: "nominal", sort: states, title: null,
          scale: { domain: states, range: STATE_COLOURS }, legend: { orient: "bottom", columns: 2 },
        },
      },
    },
  };
}

function timelineSection(about, timelines, i, cycles, command) {
  const own = timelines.of[i];
  if (!own) {
    return [section("Timeline", make("p", {}, "It is not kept for this point. This command draws it:"), commandLine(command)), null];
  }
  const picture = make("div", { class: "picture", id: "timeline", role: "img", "aria-label": "what each module does over time" });
  return [section("Timeline", picture),
    width => draw(picture, timelineSpec(about, own, timelines.modules, cycles, width), false)];
}

const quoted = text => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

function commandLine(text) {
  const copy = make("button", { type: "button", title: "copy", onclick: () => navigator.clipboard?.writeText(text) }, "copy");
  return make("p", { class: "command" }, make("code", {}, text), copy);
}
