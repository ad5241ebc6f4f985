// What all pages share: data, elements, numbers, colours, and how a picture is drawn.

// The value of an element of data: base 64 of compressed JSON.
async function unpacked(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(`data-${id}`).textContent), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

const $ = id => document.getElementById(id);

// A new element. Text is set as text, so that nothing in it is markup.
function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function option(value, text) {
  return make("option", { value }, text);
}

const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 4 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });

function shown(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? exact.format(value) : short.format(value);
}

function percent(part, whole) {
  return whole ? `${(100 * part / whole).toFixed(1)} %` : "–";
}

// ------------------------------------------------------------------------------------ appearance

const dark = matchMedia("(prefers-color-scheme: dark)");

// Okabe and Ito's colours, which people with any colour vision tell apart.
const STATE_COLOURS = ["#0072B2", "#E69F00", "#CC79A7"];
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function theme() {
  const [ink, soft, line] = ["ink", "soft", "line"].map(colour);
  const font = "system-ui, sans-serif";
  return {
    background: "transparent", font,
    view: { stroke: line },
    axis: {
      labelColor: soft, titleColor: ink, gridColor: line, domainColor: soft, tickColor: soft,
      labelFontSize: 11, titleFontSize: 12, titleFontWeight: "normal", gridOpacity: 0.6,
      labelOverlap: "greedy", labelFlush: true, labelBound: true,
    },
    legend: {
      labelColor: soft, titleColor: ink, titleFontWeight: "normal", labelFontSize: 11,
      titleFontSize: 12, titleLimit: 400, labelLimit: 400,
    },
    header: { labelColor: ink, titleColor: ink, labelFontSize: 11 },
    text: { color: ink },
  };
}

// A picture of Vega-Lite in an element. The tooltip is ours, since it sets text as text.
async function draw(element, spec, menu = true) {
  element.view?.finalize();  // the one before would go on listening
  const result = await vegaEmbed(element, { ...spec, config: theme() }, {
    actions: menu && { export: true, source: false, compiled: false, editor: false },
    renderer: "canvas", mode: "vega-lite", tooltip,
  });
  element.view = result.view;  // within reach of the browser's console
  return result.view;
}

function tooltip(handler, event, item, value) {
  const tip = $("tip");
  tip.hidden = !value;
  if (!value) return;
  const lines = Object.entries(value).map(([key, text]) =>
    make("tr", {}, make("th", { scope: "row" }, key), make("td", {}, String(text))));
  tip.replaceChildren(make("table", {}, ...lines));
  const { offsetWidth: width, offsetHeight: height } = tip;
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
  tip.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 8))}px`;
}

// -------------------------------------------------------------------------------------- fragment

function fragment() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

function setFragment(values) {
  const kept = Object.entries(values).filter(([, value]) => value !== "" && value !== null);
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
}

// Calls once the calls have stopped for so many milliseconds.
function settled(call, milliseconds = 150) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(call, milliseconds);
  };
}
