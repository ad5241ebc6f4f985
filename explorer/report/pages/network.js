// The page of a network: candidates of every node, and the plans that take one of each.

const [about, nodes, columns, plans] = await Promise.all(["about", "nodes", "candidates", "plans"].map(unpacked));
const STEP = 13;  // pixels from node to node at least
const count = columns.name.length;
const of = nodes.map(() => []);
for (let i = 0; i < count; i++) of[columns.node[i]].push(i);
const fastest = of.map(own => Math.min(...own.map(i => columns.cycles[i])));
const taken = Object.fromEntries(plans.map(plan => [plan.key, plan.rows.map(row => row.candidate)]));
const state = { chosen: -1, view: null };

const MEASURES = {
  cycles: { title: "cycles of the program", value: i => columns.cycles[i] },
  ratio: { title: "cycles over the node's least", value: i => fastest[columns.node[i]] ? columns.cycles[i] / fastest[columns.node[i]] : 1 },
  memory: { title: "memory [bytes]", value: i => columns.memory[i] },
};

// Names of nodes may be long and alike at their beginning: the end tells them apart.
const tag = n => `${n}`;
const label = name => name.length > 22 ? `…${name.slice(-21)}` : name;
const labels = nodes.map(node => label(node.name));
const axis = { labelAngle: -60, labelLimit: 150, title: null, labelExpr: `names[datum.value]`, labelOverlap: true, ticks: true, grid: true };
const nodesAxis = { field: "n", type: "ordinal", sort: nodes.map((_, n) => tag(n)), scale: { domain: nodes.map((_, n) => tag(n)) } };
const across = element => ({ width: Math.max(element.clientWidth - 20, 90 + STEP * nodes.length), autosize: { type: "fit", contains: "padding" } });
const namesParam = { name: "names", value: labels };
const tooltipOf = pairs => pairs.map(([field, title]) => ({ field, title, type: "nominal" }));

async function bars() {
  const values = plans.flatMap((plan, p) => plan.rows.flatMap((row, n) => [["program", row.cycles], ["transitions", row.transitions]]
    .map(([part, cycles]) => ({ n: tag(n), node: nodes[n].name, plan: plan.label, p, part, cycles, shown: shown(cycles) }))));
  const colours = { domain: ["program", "transitions"], range: [STATE_COLOURS[0], STATE_COLOURS[1]] };
  const one = (plan, p) => ({
    title: { text: plan.label, anchor: "start", fontSize: 12, fontWeight: "normal", color: colour("ink") },
    width: Math.max($("bars").clientWidth - 110, STEP * nodes.length), height: 90,
    transform: [{ filter: `datum.p === ${p}` }],
    mark: { type: "bar" },
    encoding: {
      x: { ...nodesAxis, axis: p === plans.length - 1 ? axis : { ...axis, labels: false } },
      y: { field: "cycles", type: "quantitative", title: "cycles", axis: { format: "~s", tickCount: 3 },
        scale: { domain: [0, 1.04 * Math.max(1, ...plans.flatMap(each => each.rows.map(row => row.cycles + row.transitions)))] } },
      color: { field: "part", type: "nominal", scale: colours, legend: { title: null, orient: "top" } },
      tooltip: tooltipOf([["node", "node"], ["plan", "plan"], ["part", "part"], ["shown", "cycles"]]),
    },
  });
  await draw($("bars"), {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json", description: `cycles of ${about.title}`,
    params: [namesParam], data: { values }, vconcat: plans.map(one), spacing: 8,
  });
}

async function render() {
  const measure = MEASURES[$("y").value];
  const words = $("text").value.toLowerCase().split(/\s+/).filter(Boolean);
  const texts = i => [nodes[columns.node[i]].name, columns.name[i], ...columns.reads[i], ...columns.writes[i]].join(" ").toLowerCase();
  const kept = [...Array(count).keys()].filter(i => nodes[columns.node[i]].kind !== "host" && words.every(word => texts(i).includes(word)));
  const rows = kept.map(i => ({
    i, n: tag(columns.node[i]), y: measure.value(i), node: nodes[columns.node[i]].name, id: columns.name[i],
    cycles: shown(columns.cycles[i]), reads: columns.reads[i].join("; "), writes: columns.writes[i].join("; "),
    ...Object.fromEntries(plans.map(plan => [plan.key, taken[plan.key][columns.node[i]] === i])),
  }));
  fill(rows.map(row => row.i));
  if (!rows.length) return $("chart").replaceChildren();
  const x = { ...nodesAxis, axis };
  const { scale, ticks } = scaleOf(rows.map(row => row.y), $("log").checked);
  const y = { field: "y", type: "quantitative", title: measure.title, scale, axis: { format: "~s", ...(ticks ? { values: ticks } : {}) } };
  const tooltip = tooltipOf([["node", "node"], ["id", "candidate"], ["cycles", "cycles"], ["reads", "reads"], ["writes", "writes"]]);
  const mark = (key, shape, size, paint, filled) => ({
    transform: [{ filter: key === "chosen" ? "datum.i === chosen" : `datum.${key}` }],
    mark: { type: "point", shape, size, filled, strokeWidth: 1.8, aria: false, cursor: "pointer", ...(filled ? { fill: paint, stroke: colour("paper") } : { color: paint }) },
    encoding: { x, y, tooltip },
  });
  const known = new Set(plans.map(plan => plan.key));
  const view = state.view = await draw($("chart"), {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json", description: about.title, ...across($("chart")), height: 420,
    params: [namesParam, { name: "chosen", value: state.chosen }], data: { values: rows },
    layer: [
      { mark: { type: "circle", size: 26, opacity: 0.55, color: STATE_COLOURS[0], aria: false, cursor: "pointer" }, encoding: { x, y, tooltip } },
      { transform: [{ filter: "datum.plan" }], mark: { type: "line", color: colour("front"), strokeWidth: 1.4, aria: false },
        encoding: { x, y, order: { field: "i", type: "quantitative" } } },
      ...(known.has("fixed") ? [mark("fixed", "diamond", 90, colour("reference"), true)] : []),
      ...(known.has("greedy") ? [mark("greedy", "triangle-up", 60, STATE_COLOURS[2], true)] : []),
      mark("plan", "circle", 110, colour("front"), false),
      mark("chosen", "cross", 220, colour("chosen"), true),
    ],
  });
  onPoint(view, choose);
}

function fill(rows) {
  const first = new Set(taken.plan);
  table.rows(rows.sort((a, b) => columns.node[a] - columns.node[b] || first.has(b) - first.has(a) || columns.cycles[a] - columns.cycles[b] || a - b));
  $("count").textContent = `${exact.format(rows.length)} of ${exact.format(count)} candidates`;
}

function described(name, value) {
  return value === "" ? [] : [make("dt", {}, name), make("dd", {}, value)];
}

async function choose(i) {
  const n = columns.node[i], node = nodes[n];
  state.chosen = i;
  table.chosen(i);
  const chosenBy = plans.filter(plan => taken[plan.key][n] === i).map(plan => plan.label);
  const inPlans = plans.map(plan => {
    const row = plan.rows[n];
    return make("tr", {}, make("th", { scope: "row" }, plan.label), make("td", {}, columns.name[row.candidate]),
      make("td", {}, shown(row.cycles)), make("td", {}, shown(row.transitions)), make("td", {}, row.reads));
  });
  const head = ["plan", "candidate", "cycles", "transitions", "reads"].map(text => make("th", { scope: "col" }, text));
  $("details").replaceChildren(
    make("h2", {}, columns.name[i]),
    make("dl", {},
      ...described("node", node.name), ...described("kind", node.kind), ...described("multiply-accumulates", node.macs ? shown(node.macs) : ""),
      ...described("by the host", node.why),
      ...described("cycles", `${shown(columns.cycles[i])}${columns.proven[i] ? ", proven the best of its space" : ""}`),
      ...described("over the node's least", shown(MEASURES.ratio.value(i))),
      ...described("memory", `${shown(columns.memory[i])} bytes`),
      ...described("reads", columns.reads[i].join("; ")), ...described("writes", columns.writes[i].join("; ")),
      ...described("taken by", chosenBy.join(", ")),
    ),
    make("h3", {}, "What the plans take"),
    make("div", { class: "scroll" }, make("table", { class: "plain" }, make("tr", {}, ...head), ...inPlans)),
  );
  setFragment({ node: node.name, candidate: columns.name[i], y: $("y").value });
  if (state.view) {
    state.view.signal("chosen", i);
    await state.view.runAsync();
  }
}

// The next candidate of the node by value, or the plan's candidate of the next node.
function move(event) {
  const aside = { ArrowLeft: -1, ArrowRight: 1 }[event.key], up = { ArrowDown: -1, ArrowUp: 1 }[event.key];
  if (!aside && !up) return;
  event.preventDefault();
  if (state.chosen < 0) return choose(taken.plan.find(i => nodes[columns.node[i]].kind !== "host") ?? 0);
  const n = columns.node[state.chosen];
  if (aside) {
    let next = n + aside;
    while (nodes[next] && nodes[next].kind === "host") next += aside;
    return nodes[next] && choose(taken.plan[next]);
  }
  const value = MEASURES[$("y").value].value;
  const own = [...of[n]].sort((a, b) => value(a) - value(b) || a - b);
  const next = own[own.indexOf(state.chosen) + up];
  if (next !== undefined) choose(next);
}

const table = sortedTable($("table"), [
  { name: "node", title: "node", text: true, choose: true, value: i => nodes[columns.node[i]].name },
  { name: "candidate", title: "candidate", text: true, value: i => columns.name[i] },
  { name: "cycles", title: "cycles", value: i => columns.cycles[i] },
  { name: "memory", title: "memory", value: i => columns.memory[i] },
  { name: "taken by", title: "taken by", text: true, value: i => plans.filter(plan => taken[plan.key][columns.node[i]] === i).map(plan => plan.label).join(", ") },
  { name: "reads", title: "reads", text: true, value: i => columns.reads[i].join("; ") },
  { name: "writes", title: "writes", text: true, value: i => columns.writes[i].join("; ") },
], choose);

$("title").textContent = document.title = about.title;
$("note").replaceChildren(...about.lines.map(line => make("p", { class: "aside" }, line)));
for (const [name, measure] of Object.entries(MEASURES)) $("y").append(option(name, measure.title));
const wanted = fragment();
if (Object.hasOwn(MEASURES, wanted.y ?? "")) $("y").value = wanted.y;
$("controls").addEventListener("change", render);
$("controls").addEventListener("submit", event => event.preventDefault());
$("text").addEventListener("input", settled(render));
$("chart").addEventListener("keydown", move);
$("csv").addEventListener("click", () => download("candidates.csv", table.csv()));
addEventListener("resize", settled(async () => { await bars(); await render(); }));
dark.addEventListener("change", async () => { await bars(); await render(); });
await bars();
await render();
const linked = [...Array(count).keys()].find(i => nodes[columns.node[i]].name === wanted.node && columns.name[i] === wanted.candidate);
if (linked !== undefined) await choose(linked);
document.body.dataset.ready = "true";
