// The page of a table's Pareto front.

const data = await unpacked("front");
const AXES = ["x", "y", "c"], at = name => data.columns.indexOf(name);
const groupOf = row => data.groups.map(name => row[at(name)]).join(", ");
const column = name => data.rows.map(row => row[at(name)]);
const state = { view: null, range: null, chosen: -1, rows: [] };

function label(name) {
  return name + (Object.hasOwn(data.units, name) ? ` [${data.units[name]}]` : "") + (data.maximize.includes(name) ? " (more is better)" : "");
}

// A row's values as the tooltip shows them; a column's name may be anything, its field's may not.
const tips = data.columns.map((name, n) => [`v${n}`, name]);

async function render() {
  const names = Object.fromEntries(AXES.map(place => [place, $(place).value]));
  const kept = data.rows.map((row, i) => [row, i]).filter(([row, i]) =>
    ($("group").value === "" || groupOf(row) === $("group").value) && ($("all").checked || data.front[i])
    && row[at(names.x)] !== null && row[at(names.y)] !== null);
  const rows = kept.map(([row, i]) => ({
    i, x: row[at(names.x)], y: row[at(names.y)], c: names.c ? row[at(names.c)] : null, match: true,
    front: Boolean(data.front[i]), reference: false, facet: "",
    ...Object.fromEntries(row.map((value, n) => [`v${n}`, shown(value)])),
  }));
  const place = p => ({ title: label(names[p]), share: false, ...scaleOf(rows.map(row => row[p]), $(`log-${p}`).checked) });
  Object.assign(state, { rows, view: null, range: null });
  $("note").textContent = `${exact.format(rows.filter(row => row.front).length)} rows on the front; ${exact.format(data.dominated)} dominated in all groups`;
  filter();
  if (!rows.length) return $("chart").replaceChildren();
  const spec = scatter({
    rows: rows.sort((a, b) => a.front - b.front || a.i - b.i), line: [], facet: null, tips, name: data.title,
    columns: { x: place("x"), y: place("y"), c: names.c ? place("c") : null },
    width: $("chart").clientWidth, height: Math.max(320, Math.min(640, innerHeight - 220)),
  });
  const view = state.view = await draw($("chart"), spec);
  view.signal("chosen", state.chosen);
  onPoint(view, choose);
  view.addDataListener("brush_store", settled(async () => {
    state.range = brushed(view);
    setRange(view, state.range);
    await view.runAsync();
    filter();
  }, 60));
  await view.runAsync();
}

function filter() {
  const inside = row => ["x", "y"].every(p => !state.range || row[p] >= state.range[p][0] && row[p] <= state.range[p][1]);
  const left = state.rows.filter(inside);
  table.rows(left.map(row => row.i).sort((a, b) => data.front[b] - data.front[a] || a - b));
  $("count").textContent = `${exact.format(left.length)} of ${exact.format(data.rows.length)} rows`;
}

async function choose(i) {
  state.chosen = i;
  table.chosen(i);
  document.querySelector(".rows [aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  if (state.view) {
    state.view.signal("chosen", i);
    await state.view.runAsync();
  }
}

const table = sortedTable($("table"), [
  { name: "front", title: "front", text: true, choose: true, value: i => data.front[i] ? "on it" : "–" },
  ...data.columns.map((name, n) => ({ name, title: name, text: !data.numeric.includes(name), value: i => data.rows[i][n] })),
], choose);

$("title").textContent = document.title = data.title;
$("c").append(option("", "none"));
for (const place of AXES) for (const name of data.numeric) $(place).append(option(name, name));
$("x").value = data.objectives[0];
$("y").value = data.objectives[1] ?? data.objectives[0];
$("c").value = data.objectives[2] ?? "";
$("group").append(option("", "all"));
for (const name of [...new Set(data.rows.map(groupOf))].sort()) if (name) $("group").append(option(name, name));
const relog = place => { $(`log-${place}`).checked = $(place).value !== "" && isWide(column($(place).value)); };
for (const place of AXES) {
  relog(place);
  $(place).addEventListener("change", () => relog(place));
}
$("controls").addEventListener("change", render);
$("controls").addEventListener("submit", event => event.preventDefault());
$("csv").addEventListener("click", () => download("front.csv", table.csv()));
addEventListener("resize", settled(render));
dark.addEventListener("change", render);
await render();
document.body.dataset.ready = "true";
