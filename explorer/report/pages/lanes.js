// The lanes of one step, worked out from an embedding's virtual loops and the access maps.

const MARKS = "0123456789abcdefghijklmnopqrstuvwxyz";

const sum = ([constant, terms], at) => terms.reduce((total, [i, factor]) => total + factor * at[i], constant);

// Division and remainder that round down, as the quasi-affine terms are meant.
function quasi([affine, terms], at) {
  let total = sum(affine, at);
  for (const [factor, inner, divisor, modulus] of terms) {
    const value = Math.floor(sum(inner, at) / divisor);
    total += factor * (modulus ? ((value % modulus) + modulus) % modulus : value);
  }
  return total;
}

function stepsOf([outer]) {
  return outer.reduce((total, [, extent]) => total * extent, 1);
}

// The outer loops' indices in a step; the last loop is the fastest.
function outerAt([outer], step) {
  const at = new Array(outer.length);
  for (let i = outer.length - 1; i >= 0; i--) {
    at[i] = step % outer[i][1];
    step = Math.floor(step / outer[i][1]);
  }
  return at;
}

// What a lane stands for: the loops' indices, the dimensions, and whether it works.
function laneAt(about, loops, before, place) {
  const [outer, lanes, rows, equal] = loops;
  const { axes } = about.machine;
  const at = [...before];
  const width = axes.map(() => 1);
  for (const [, extent, axis, stride] of lanes) {
    const i = axes.findIndex(([name]) => name === axis);
    at.push(Math.floor(place[i] / stride) % extent);
    width[i] *= extent;
  }
  const dims = rows.map(row => quasi(row, at));
  const live = place.every((index, i) => index < width[i])
    && equal.every(([a, b]) => at[a] === at[b])
    && dims.every((value, i) => value >= 0 && value < about.operator.dims[i][1]);
  return { at, dims, live };
}

// Along each axis with digits: its lanes, and what the dimensions of its digits are there.
function axesAt(about, loops, step) {
  const [outer, lanes, rows, equal] = loops;
  const { axes } = about.machine, before = outerAt(loops, step);
  const works = liveAlong(about, loops, before);
  return axes.flatMap(([name, extent], i) => {
    const own = new Set(lanes.flatMap(([, , axis], n) => axis === name ? [outer.length + n] : []));
    if (!own.size) return [];
    const dims = digitDims(about, lanes.filter(lane => lane[2] === name));
    const cells = Array.from({ length: extent }, (_, index) => {
      const { at } = laneAt(about, loops, before, axes.map((_, j) => j === i ? index : 0));
      // Where lanes of two axes are equal, the one that this axis has stands for both.
      for (const [a, b] of equal) {
        if (own.has(a)) at[b] = at[a];
        else if (own.has(b)) at[a] = at[b];
      }
      return { lane: index, works: works[i][index], values: dims.map(d => quasi(rows[d], at)) };
    });
    return [{ name, dims: dims.map(d => about.operator.dims[d][0]), cells }];
  });
}

function digitDims(about, lanes) {
  const names = about.operator.dims.map(([name]) => name);
  const inside = lanes.flatMap(([name, , axis]) => name.slice(0, -axis.length - 1).split("."));
  return inside.map(name => names.indexOf(name)).filter(place => place >= 0);
}

function* places(axes) {
  const at = axes.map(() => 0), total = axes.reduce((n, [, extent]) => n * extent, 1);
  for (let n = 0; n < total; n++) {
    yield at;
    for (let i = axes.length - 1; i >= 0 && ++at[i] === axes[i][1]; i--) at[i] = 0;
  }
}

// For each axis and lane of it, whether any lane of the machine there works.
function liveAlong(about, loops, before) {
  const { axes } = about.machine;
  const works = axes.map(([, extent]) => new Array(extent).fill(false));
  for (const place of places(axes)) {
    if (laneAt(about, loops, before, place).live) place.forEach((n, i) => { works[i][n] = true; });
  }
  return works;
}

// The block of each port: cells with the element each holds, and how many lanes work.
function blocksAt(about, loops, step) {
  const { axes, ports } = about.machine, before = outerAt(loops, step);
  const blocks = ports.map(([port, role, own]) => {
    const tensor = about.operator.tensors[loops[4] && role !== "out" ? (role === "in0" ? "in1" : "in0") : role];
    const count = own.reduce((n, i) => n * axes[i][1], 1);
    const cells = Array.from({ length: count }, () => ({ used: false, flat: -1, index: null }));
    return { port, tensor, own, axes: own.map(i => axes[i]), cells };
  });
  let busy = 0, total = 0;
  for (const place of places(axes)) {
    const { dims, live } = laneAt(about, loops, before, place);
    total += 1;
    if (!live) continue;
    busy += 1;
    for (const { tensor, own, cells } of blocks) {
      const cell = cells[own.reduce((n, i) => n * axes[i][1] + place[i], 0)];
      const index = tensor.rows.map(row => sum(row, dims));
      cell.used = true;
      if (index.some((value, i) => value < 0 || value >= tensor.shape[i])) continue;
      const flat = index.reduce((n, value, i) => n * tensor.shape[i] + value, 0);
      if (flat > cell.flat) Object.assign(cell, { flat, index });
    }
  }
  for (const block of blocks) {
    block.held = [...new Set(block.cells.map(c => c.flat).filter(f => f >= 0))].sort((a, b) => a - b);
    const rank = new Map(block.held.map((flat, n) => [flat, n]));
    for (const cell of block.cells) {
      cell.rank = cell.flat < 0 ? -1 : rank.get(cell.flat);
      cell.mark = !cell.used ? "." : cell.flat < 0 ? "-" : block.held.length > MARKS.length ? "#" : MARKS[cell.rank];
    }
  }
  return { blocks, busy, total };
}
