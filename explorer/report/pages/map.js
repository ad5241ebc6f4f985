// The page of one operator's embeddings.

const [about, points, timelines] = await Promise.all(["about", "points", "timelines"].map(unpacked));
let details = null;  // unpacked at the first click: it is most of the file
const count = points.id.length, referenced = about.reference !== null;
const metrics = Object.fromEntries(about.metrics.map(([name, unit, meaning, more]) => [name, { name, unit, meaning, more }]));
const valueOf = (name, i) => points.metrics[name][i];
const PORTS = ["inp", "wgt", "acc"];
const layoutOf = (i, port) => points.layouts[i].map(place => about.layouts[place])
  .filter(layout => layout.port === PORTS[port]).map(layout => layout.name).join(" + ");
const terms = about.terms.map(operator => ({ ...about, operator }));
const rankOf = i => referenced && i === count - 1 ? "ref" : i + 1;
const facets = facetsOf(points.classes), OTHERS = "other combinations";
const everything = Array.from({ length: count }, (_, i) =>
  [points.id[i], points.classes[i], ...[0, 1, 2].map(port => layoutOf(i, port))].join(" ").toLowerCase());

const state = { x: "footprint", y: "cycles", c: "utilisation", facet: "", chosen: -1, range: null, zoom: null, text: "", view: null, rows: [] };
const AXES = ["x", "y", "c"];

// The combinations of classes that get a facet of their own: the commonest ones, in that order.
function facetsOf(classes) {
  const times = new Map();
  for (const name of classes) times.set(name, (times.get(name) ?? 0) + 1);
  const names = [...times.keys()].sort((a, b) => times.get(b) - times.get(a) || (a < b ? -1 : 1));
  return names.length > 16 ? names.slice(0, 15) : names;
}

function columnOf(place) {
  const metric = metrics[state[place]];
  const log = $(`log-${place}`).checked, domain = state.zoom?.[place];
  const title = metric.name.replace("_", " ") + (metric.unit === metric.name || metric.unit === "share" ? "" : ` [${metric.unit}]`)
    + (metric.more ? " (more is better)" : "");
  return { title, more: metric.more, share: metric.unit === "share", ...scaleOf(points.metrics[metric.name], log, domain) };
}

function rowsOf() {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = Array.from({ length: count }, (_, i) => ({
    i, x: valueOf(state.x, i), y: valueOf(state.y, i), c: valueOf(state.c, i),
    facet: facets.includes(points.classes[i]) ? points.classes[i] : OTHERS, front: false, reference: referenced && i === count - 1,
    match: words.every(word => everything[i].includes(word)),
    id: points.id[i], classes: points.classes[i], inp: layoutOf(i, 0), wgt: layoutOf(i, 1), out: layoutOf(i, 2),
    tx: shown(valueOf(state.x, i)), ty: shown(valueOf(state.y, i)), tc: shown(valueOf(state.c, i)),
  }));
  const more = { x: metrics[state.x].more, y: metrics[state.y].more };
  const line = frontOf(rows.filter(row => !row.reference), more);
  for (const row of line) row.front = true;
  return { rows, line };
}

const inRange = (row, range) => AXES.slice(0, 2).every(p => !range?.[p] || row[p] >= range[p][0] && row[p] <= range[p][1]);

async function render() {
  const { rows, line } = rowsOf();
  const columns = Object.fromEntries(AXES.map(place => [place, columnOf(place)]));
  const drawn = rows.filter(row => inRange(row, state.zoom));
  const tips = [["id", "id"], ["classes", "classes"], ["inp", "inp"], ["wgt", "wgt"], ["out", "out"],
    ...AXES.map(place => [`t${place}`, state[place].replace("_", " ")])];
  const spec = scatter({
    rows: drawn.sort((a, b) => b.i - a.i), line: line.filter(row => inRange(row, state.zoom)), columns,
    facet: state.facet && [...facets, OTHERS], width: $("chart").clientWidth, height: Math.max(320, Math.min(620, innerHeight - 300)),
    tips, name: `${about.title}: ${state.y} over ${state.x}`,
  });
  Object.assign(state, { rows, view: null });
  const view = await draw($("chart"), spec);
  state.view = view;
  setRange(view, state.range);
  view.signal("chosen", state.chosen);
  onPoint(view, choose);
  view.addDataListener("brush_store", settled(() => { setRanges(brushed(view)); }, 60));
  await view.runAsync();
  filter();
}

function setRanges(range) {
  state.range = range;
  for (const place of ["x", "y"]) {
    $(`from-${place}`).value = range?.[place] ? Number(range[place][0].toPrecision(6)) : "";
    $(`to-${place}`).value = range?.[place] ? Number(range[place][1].toPrecision(6)) : "";
  }
  ranged();
}

async function ranged() {
  if (state.view) {
    setRange(state.view, state.range);
    await state.view.runAsync();
  }
  filter();
}

const left = () => state.rows.filter(row => row.match && inRange(row, state.range) && inRange(row, state.zoom));

function filter() {
  const rows = left().map(row => row.i).sort((a, b) => a - b);
  table.rows(rows);
  $("count").textContent = `${exact.format(rows.length)} of ${exact.format(count)} points`;
}

async function choose(i) {
  state.chosen = i;
  remember();
  table.chosen(i);
  if (state.view) {
    state.view.signal("chosen", i);
    await state.view.runAsync();
  }
  await show(i);
}

function remember() {
  const id = state.chosen < 0 ? "" : points.id[state.chosen];
  setFragment({ id, x: state.x, y: state.y, c: state.c, facet: state.facet });
}

async function show(i) {
  details ??= await unpacked("details");
  if (i !== state.chosen) return;
  const own = details[i], cycles = valueOf("cycles", i), id = points.id[i];
  const named = `${about.command} ${quoted(id)}`;
  const same = state.rows.filter(row => row.x === valueOf(state.x, i) && row.y === valueOf(state.y, i));
  const facts = about.metrics.map(([name, unit]) => [make("dt", {}, name.replace("_", " ")), make("dd", {}, `${shown(valueOf(name, i))} ${unit === "share" ? "" : unit}`)]);
  const speedup = about.base ? [make("dt", {}, "speedup"), make("dd", {}, `${shown(Number((about.base / cycles).toPrecision(4)))} over TVM's embedding`)] : [];
  const [cycleSection, drawCycles] = cyclesSection(about, own, cycles);
  const [timeSection, drawTime] = timelineSection(about, timelines, i, cycles, `explorer show ${named} --timeline`);
  const layouts = points.layouts[i].flatMap(place => {
    const { port, tensor, entries, lines: texts } = about.layouts[place];
    return [make("figcaption", {}, `${tensor} on port ${port}, ${shown(entries)} entries`), lines(texts)];
  });
  $("details").replaceChildren(
    make("h2", { id: "chosen" }, id),
    make("p", { class: "aside" }, `${rankOf(i) === "ref" ? "TVM's embedding in TVM's layouts" : `rank ${rankOf(i)}`}, ${points.classes[i]}, ${points.proven[i] ? "proven the best of its space" : "a better schedule is not excluded"}`),
    make("dl", {}, ...facts.flat(), ...speedup),
    ...(same.length > 1 ? [make("p", {}, `${same.length} points lie here. `, make("button", { type: "button", onclick: () => setRanges({ x: [same[0].x, same[0].x], y: [same[0].y, same[0].y] }) }, "list them"))] : []),
    ...own[0].map((loops, k) => lanesSection(terms[k], loops, k, terms.length)),
    section("Packed layouts", ...layouts),
    section("Loops", lines(own[1])),
    section("Schedule", lines([...own[2], ...own[3]])),
    cycleSection, timeSection,
    section("Commands", ...["show", "verify"].map(verb => commandLine(`explorer ${verb} ${named}`)),
      commandLine(`explorer show ${named} --trace trace.json`), commandLine(`explorer emit ${named} --out program`)),
  );
  $("details").scrollTop = 0;
  const width = $("details").clientWidth - 28;
  await drawCycles(width);
  if (drawTime) await drawTime(width);
}

// The next point in a direction, among those that the table lists.
function step(place, sign) {
  const rows = left().sort((a, b) => a[place] - b[place] || a.i - b.i);
  const at = rows.findIndex(row => row.i === state.chosen);
  const next = at < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, at + sign));
  if (rows.length) choose(rows[next].i);
}

function stepFront(sign) {
  const rows = left().filter(row => row.front).sort((a, b) => a.x - b.x || a.i - b.i);
  const at = rows.findIndex(row => row.i === state.chosen);
  const next = at < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, at + sign));
  if (rows.length) choose(rows[next].i);
}

const KEYS = {
  ArrowLeft: () => step("x", -1), ArrowRight: () => step("x", 1), ArrowDown: () => step("y", -1),
  ArrowUp: () => step("y", 1), PageUp: () => stepFront(1), PageDown: () => stepFront(-1),
};

// Takes the state from the address; what it does not name stays as it is.
function recall() {
  const asked = fragment();
  for (const place of AXES) if (Object.hasOwn(metrics, asked[place] ?? "")) state[place] = asked[place];
  if (asked.facet === "classes" || asked.facet === "") state.facet = asked.facet;
  state.chosen = asked.id ? points.id.indexOf(asked.id) : -1;
  for (const place of AXES) {
    $(place).value = state[place];
    $(`log-${place}`).checked = isWide(points.metrics[state[place]]);
  }
  $("facet").value = state.facet;
}

const table = sortedTable($("table"), [
  { name: "rank", title: "rank", value: i => rankOf(i) === "ref" ? 0 : i + 1 },
  { name: "embedding", title: "embedding", text: true, choose: true, value: i => points.id[i] },
  { name: "classes", title: "classes", text: true, value: i => points.classes[i] },
  ...about.metrics.map(([name, , meaning]) => ({ name, title: name.replace("_", " "), meaning, value: i => valueOf(name, i) })),
], choose);

$("title").textContent = about.title;
$("note").textContent = `${exact.format(about.total)} embeddings, each with its best program`
  + (about.unfit ? `; ${exact.format(about.unfit)} of them have none that fits and are left out` : "")
  + (about.unproven ? `; for ${exact.format(about.unproven)} a better schedule is not excluded` : "");
for (const place of AXES) {
  for (const [name, , meaning] of about.metrics) {
    const made = option(name, name.replace("_", " "));
    made.title = meaning;
    $(place).append(made);
  }
  $(place).addEventListener("change", () => {
    state[place] = $(place).value;
    $(`log-${place}`).checked = isWide(points.metrics[state[place]]);
    Object.assign(state, { zoom: null });
    remember();
    setRanges(null);
    render();
  });
  $(`log-${place}`).addEventListener("change", render);
}
$("facet").addEventListener("change", () => { state.facet = $("facet").value; remember(); render(); });
$("text").addEventListener("input", settled(() => { state.text = $("text").value; render(); }));
for (const form of document.forms) form.addEventListener("submit", event => event.preventDefault());
$("ranges").addEventListener("input", settled(() => {
  const bound = (id, open) => $(id).value === "" ? open : Number($(id).value);
  state.range = Object.fromEntries(["x", "y"].map(p => [p, [bound(`from-${p}`, -Infinity), bound(`to-${p}`, Infinity)]]));
  ranged();
}));
$("zoom").addEventListener("click", () => {
  const rows = left();
  if (!rows.length) return;
  state.zoom = Object.fromEntries(["x", "y"].map(p => {
    const values = rows.map(row => row[p]), low = Math.min(...values), high = Math.max(...values);
    const margin = (high - low || Math.abs(low) || 1) * 0.03;
    return [p, [low > 0 ? Math.max(low - margin, low * 0.97) : low - margin, high + margin]];
  }));
  setRanges(null);
  render();
});
$("reset").addEventListener("click", () => {
  Object.assign(state, { zoom: null, text: "" });
  $("text").value = "";
  setRanges(null);
  render();
});
$("csv").addEventListener("click", () => download("embeddings.csv", table.csv()));
$("chart").addEventListener("keydown", event => {
  const act = KEYS[event.key];
  if (act && event.target === $("chart")) {
    event.preventDefault();
    act();
  }
});
addEventListener("hashchange", async () => { recall(); await render(); if (state.chosen >= 0) await choose(state.chosen); });
addEventListener("resize", settled(render));
dark.addEventListener("change", async () => { await render(); if (state.chosen >= 0) await show(state.chosen); });

recall();
await render();
if (state.chosen < 0) state.chosen = 0;  // the best, until another one is asked for
await choose(state.chosen);
document.body.dataset.ready = "true";
