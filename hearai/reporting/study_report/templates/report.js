"use strict";
// Adds interaction to a page that is complete without it: names under the pointer, pinned trials, ranges of parallel
// coordinates. The data are what the page shows: shapes with `data-t`, the number of their trial, and the table of trials.
(() => {
const SVG = "http://www.w3.org/2000/svg";
const REACH = 16;  // pixels from the pointer within which a trial is found
const MOST_PINS = 6;
const MOST_FACTS = 24;  // lines of the box beside the pointer

const make = (tag, text = "", css = "") => {
  const element = document.createElement(tag);
  element.textContent = text;
  if (css) element.className = css;
  return element;
};
const draw = (tag, attributes) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

// -- what is known of a trial: the row of the table of all trials ------------------------------------------------

const rows = new Map();  // {number of the trial: its row}
for (const row of document.querySelectorAll("#trials tr[data-t]")) rows.set(row.dataset.t, row);

function factsOf(trial) {
  const row = rows.get(trial);
  if (!row) return [];
  const heads = row.closest("table").tHead.rows[0].cells;
  return [...row.cells].map((cell, i) => [heads[i].textContent, cell.textContent]);
}

// -- where the trials are in each chart --------------------------------------------------------------------------

function pointsOf(shape) {
  if (shape.matches("circle:not(.ring)")) return [[+shape.getAttribute("cx"), +shape.getAttribute("cy")]];
  const text = shape.getAttribute("points") ?? (shape.matches(".line") ? shape.getAttribute("d") : "");
  const numbers = (text.match(/-?[\d.]+/g) ?? []).map(Number);
  return numbers.flatMap((number, i) => i % 2 ? [[numbers[i - 1], number]] : []);
}

function marksOf(svg) {
  const marks = [];
  for (const group of svg.querySelectorAll("[data-t]")) {
    const shapes = [...group.children];
    const line = shapes.find(shape => shape.matches("polyline, .line"));
    const points = (line ? [line] : shapes).flatMap(pointsOf);
    if (points.length) marks.push({trial: group.dataset.t, points, isLine: Boolean(line), group});
    group.querySelector("title")?.remove();  // the browser's own tooltip would cover ours
  }
  for (const group of svg.querySelectorAll("[data-ts]")) {
    const trials = group.dataset.ts.split(" ");
    const places = group.querySelector("path").getAttribute("d").matchAll(/M(-?[\d.]+) (-?[\d.]+)/g);
    [...places].forEach((place, i) =>
      marks.push({trial: trials[i], points: [[+place[1], +place[2]]], isLine: false, group}));
  }
  return marks;
}

function distance([x, y], mark) {
  if (!mark.isLine) return Math.min(...mark.points.map(([a, b]) => Math.hypot(a - x, b - y)));
  let least = Infinity;
  for (let i = 1; i < mark.points.length; i++) {
    const [[a, b], [c, d]] = [mark.points[i - 1], mark.points[i]];
    const length = (c - a) ** 2 + (d - b) ** 2 || 1;
    const share = Math.max(0, Math.min(1, ((x - a) * (c - a) + (y - b) * (d - b)) / length));
    least = Math.min(least, Math.hypot(a + share * (c - a) - x, b + share * (d - b) - y));
  }
  return least;
}

class Chart {
  constructor(svg) {
    this.svg = svg;
    this.marks = marksOf(svg);
    this.byTrial = Map.groupBy ? Map.groupBy(this.marks, mark => mark.trial) : groups(this.marks);
    this.pinned = svg.appendChild(draw("g", {class: "pinned"}));
    this.hover = svg.appendChild(draw("g", {class: "hover"}));
  }
  place(event) {
    const matrix = this.svg.getScreenCTM();
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    return {point: [point.x, point.y], reach: REACH / matrix.a};
  }
  nearest(event) {
    const {point, reach} = this.place(event);
    let found = null, least = reach;
    for (const mark of this.marks) {
      if (mark.group.classList.contains("off")) continue;
      const here = distance(point, mark);
      if (here < least) [found, least] = [mark, here];
    }
    return found;
  }
  show(layer, trial, css) {
    for (const mark of this.byTrial.get(trial) ?? []) {
      const shape = mark.isLine
        ? draw("polyline", {points: mark.points.join(" "), class: css})
        : draw("g", {class: css});
      if (!mark.isLine) for (const [cx, cy] of mark.points) shape.append(draw("circle", {cx, cy, r: 5}));
      layer.append(shape);
    }
  }
}

function groups(marks) {  // browsers before Map.groupBy
  const found = new Map();
  for (const mark of marks) found.set(mark.trial, [...found.get(mark.trial) ?? [], mark]);
  return found;
}

const charts = [...document.querySelectorAll("svg")]
  .filter(svg => svg.querySelector("[data-t], [data-ts]")).map(svg => new Chart(svg));

// -- the box beside the pointer ----------------------------------------------------------------------------------

const box = document.querySelector("main").appendChild(make("div", "", "box"));
box.setAttribute("role", "status");
box.hidden = true;
let shown = null;

function show(trial, x, y) {
  if (trial !== shown) {
    for (const chart of charts) {
      chart.hover.replaceChildren();
      if (trial !== null) chart.show(chart.hover, trial, "mark");
    }
    shown = trial;
    box.replaceChildren(...(trial === null ? [] : content(trial)));
    box.hidden = trial === null;
  }
  if (trial === null) return;
  const {width, height} = box.getBoundingClientRect();
  box.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 8))}px`;
  box.style.top = `${y + 18 + height > innerHeight ? Math.max(4, y - height - 14) : y + 18}px`;
}

function content(trial) {
  const facts = factsOf(trial).slice(1).filter(([, value]) => value && value !== "-");
  const list = make("dl");
  for (const [name, value] of facts.slice(0, MOST_FACTS)) list.append(make("dt", name), make("dd", value));
  const more = facts.length > MOST_FACTS ? [make("p", `${facts.length - MOST_FACTS} more in the table of all trials`)] : [];
  const hint = pins.has(trial) ? "click: remove from the comparison" : "click: compare";
  return [make("b", `trial ${trial}`), list, ...more, make("p", hint, "soft")];
}

// -- pinned trials, side by side ---------------------------------------------------------------------------------

const pins = new Map();  // {number of the trial: colour}
const panel = make("aside", "", "pins");
document.querySelector("main").after(panel);
panel.setAttribute("aria-label", "Compared trials");
panel.hidden = true;

function toggle(trial) {
  if (pins.has(trial)) pins.delete(trial);
  else {
    if (pins.size === MOST_PINS) pins.delete(pins.keys().next().value);
    const used = new Set(pins.values());
    pins.set(trial, [...Array(MOST_PINS).keys()].find(colour => !used.has(colour)));
  }
  update();
}

function update() {
  for (const chart of charts) {
    chart.pinned.replaceChildren();
    for (const [trial, colour] of pins) chart.show(chart.pinned, trial, `mark pin${colour}`);
  }
  for (const [trial, row] of rows) row.classList.toggle("chosen", pins.has(trial));
  panel.hidden = !pins.size;
  panel.replaceChildren(...(pins.size ? comparison() : []));
  document.body.style.paddingBottom = pins.size ? `${panel.offsetHeight + 16}px` : "";
}

function comparison() {
  const clear = make("button", "clear");
  clear.addEventListener("click", () => { pins.clear(); update(); });
  const head = make("p", pins.size === 1 ? "Compared trials (click more of them) " : "Compared trials: what differs ");
  head.append(clear);
  const facts = [...pins.keys()].map(factsOf);
  const table = make("table"), top = table.createTHead().insertRow(), body = table.createTBody();
  top.append(make("th"));
  for (const [trial, colour] of pins) {
    const cell = make("th"), button = make("button", `trial ${trial} \u00d7`, `pin${colour}`);
    button.title = `remove trial ${trial}`;
    button.addEventListener("click", () => toggle(trial));
    cell.append(button);
    top.append(cell);
  }
  facts[0].forEach(([name], i) => {
    const values = facts.map(one => one[i][1]);
    if (!i || (pins.size > 1 ? values.every(value => value === values[0]) : !values[0] || values[0] === "-")) return;
    const row = body.insertRow();
    row.append(make("th", name, "left"), ...values.map(value => make("td", value)));
  });
  const scroll = make("div", "", "scroll");
  scroll.tabIndex = 0;
  scroll.append(table);
  return [head, scroll];
}

// -- pointer and keyboard ----------------------------------------------------------------------------------------

for (const chart of charts) {
  const {svg} = chart, order = [...chart.marks].sort((a, b) => a.points.at(-1)[0] - b.points.at(-1)[0] || a.trial - b.trial);
  let position = -1;
  svg.classList.add("live");
  svg.tabIndex = 0;
  svg.addEventListener("pointermove", event => show(chart.nearest(event)?.trial ?? null, event.clientX, event.clientY));
  svg.addEventListener("pointerleave", () => show(null));
  svg.addEventListener("blur", () => show(null));
  svg.addEventListener("click", event => {
    const mark = chart.nearest(event);
    if (mark && !event.target.closest(".catch")) toggle(mark.trial);
  });
  svg.addEventListener("keydown", event => {
    if (event.target !== svg) return;
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (step) {
      position = Math.max(0, Math.min(order.length - 1, position + step));
      const [x, y] = order[position].points.at(-1);
      const point = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
      show(order[position].trial, point.x, point.y);
    } else if (event.key === "Enter" && shown !== null) toggle(shown);
    else if (event.key === "Escape") show(null);
    else return;
    event.preventDefault();
  });
}
for (const row of rows.values()) row.cells[0].addEventListener("click", () => toggle(row.dataset.t));

// -- ranges of parallel coordinates ------------------------------------------------------------------------------

for (const chart of charts.filter(one => one.svg.matches(".parallel"))) {
  const axes = [...chart.svg.querySelectorAll(".axis")].map((group, column) => {
    const [x, top, bottom] = ["x", "top", "bottom"].map(name => +group.dataset[name]);
    const range = group.appendChild(draw("rect", {class: "range", x: x - 7, width: 14, y: top, height: 0}));
    const area = {class: "catch", x: x - 14, width: 28, y: top - 6, height: bottom - top + 34};
    const rect = group.appendChild(draw("rect", {...area, tabindex: 0, role: "group"}));
    rect.setAttribute("aria-label", `${group.dataset.name}: select a range with the arrow keys, + and -`);
    return {column, top, bottom: bottom + 24, rect, range, ends: null};
  });
  const output = chart.svg.closest("section").querySelector("output");
  const select = (axis, ends) => {
    axis.ends = ends && [Math.max(axis.top - 6, ends[0]), Math.min(axis.bottom, ends[1])];
    axis.range.setAttribute("y", axis.ends?.[0] ?? 0);
    axis.range.setAttribute("height", axis.ends ? Math.max(2, axis.ends[1] - axis.ends[0]) : 0);
    const limits = axes.filter(one => one.ends);
    const inside = chart.marks.filter(mark => {
      const isIn = limits.every(({column, ends: [a, b]}) => mark.points[column][1] >= a && mark.points[column][1] <= b);
      mark.group.classList.toggle("off", !isIn);
      return isIn;
    });
    const best = inside.reduce((one, mark) => one && one.points.at(-1)[1] <= mark.points.at(-1)[1] ? one : mark, null);
    output.textContent = !limits.length ? "" : `${inside.length} of ${chart.marks.length} selected`
      + (best ? `; the best is trial ${best.trial}.` : ".");
  };
  for (const axis of axes) {
    let start = null;
    axis.rect.addEventListener("pointerdown", event => {
      start = chart.place(event).point[1];
      axis.rect.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    axis.rect.addEventListener("pointermove", event => {
      if (start === null) return;
      const end = chart.place(event).point[1];
      if (Math.abs(end - start) > 3) select(axis, [Math.min(start, end), Math.max(start, end)]);
    });
    axis.rect.addEventListener("pointerup", event => {
      if (Math.abs(chart.place(event).point[1] - start) <= 3) select(axis, null);
      start = null;
    });
    axis.rect.addEventListener("keydown", event => {
      const room = axis.bottom - axis.top, [a, b] = axis.ends ?? [axis.top - 6, axis.top + room / 4];
      const moves = {ArrowUp: [-room / 16, -room / 16], ArrowDown: [room / 16, room / 16],
                     "+": [-room / 32, room / 32], "-": [room / 32, -room / 32]}[event.key];
      if (event.key === "Escape") select(axis, null);
      else if (moves && b + moves[1] > a + moves[0]) select(axis, axis.ends ? [a + moves[0], b + moves[1]] : [a, b]);
      else return;
      event.preventDefault();
    });
  }
}

// -- printing ----------------------------------------------------------------------------------------------------

addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details")) one.open = true; });
document.documentElement.classList.add("with-script");
})();
