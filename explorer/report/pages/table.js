// The table of the points that are left by brush, ranges and text.

const PORTION = 100;

// A table that sorts by its columns; `choose` is called with a row's number.
function sortedTable(element, columns, choose) {
  const state = { rows: [], by: null, down: false, shown: PORTION, chosen: -1 };
  const head = make("tr", {}, ...columns.map((column, n) => make("th", { scope: "col", class: column.text ? "" : "number" },
    make("button", { type: "button", title: column.meaning ?? null, onclick: () => sort(n) }, column.title))));
  const body = make("tbody", {});
  const more = make("button", { type: "button", onclick: () => { state.shown += 5 * PORTION; fill(); } }, "show more");
  element.replaceChildren(make("div", { class: "scroll" }, make("table", { class: "rows" }, make("thead", {}, head), body)), more);

  function sort(n) {
    state.down = state.by === n ? !state.down : false;
    state.by = n;
    fill();
  }
  function ordered() {
    if (state.by === null) return state.rows;  // as they came
    const value = columns[state.by].value, sign = state.down ? -1 : 1;
    return [...state.rows].sort((a, b) => {
      const [left, right] = [value(a), value(b)];
      return sign * (left < right ? -1 : left > right ? 1 : 0) || a - b;
    });
  }
  function fill() {
    [...head.children].forEach((cell, n) =>
      cell.setAttribute("aria-sort", n !== state.by ? "none" : state.down ? "descending" : "ascending"));
    const rows = ordered();
    body.replaceChildren(...rows.slice(0, state.shown).map(i => {
      const cells = columns.map(column => column.choose
        ? make("td", {}, make("button", { type: "button", class: "link" }, shown(column.value(i))))
        : make("td", { class: column.text ? "" : "number" }, shown(column.value(i))));
      return make("tr", { "aria-selected": i === state.chosen ? "true" : "false", onclick: () => choose(i) }, ...cells);
    }));
    more.hidden = rows.length <= state.shown;
  }
  return {
    rows(rows) { Object.assign(state, { rows, shown: PORTION }); fill(); },
    chosen(i) { state.chosen = i; fill(); },
    csv() {
      const cell = value => /[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
      const line = values => values.map(v => cell(String(v ?? ""))).join(",");
      return [line(columns.map(c => c.name)), ...ordered().map(i => line(columns.map(c => c.value(i))))].join("\n") + "\n";
    },
  };
}

function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
