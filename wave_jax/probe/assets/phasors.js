// The chosen token's waves as arrows, one dial for each of its most influential dimensions.

const DIALS = 24;
const LONGEST = 43; // of an arrow, so that its tip stays inside the rim
const ARROWS = ["first", "second", "both"];
const SVG = "http://www.w3.org/2000/svg";

// hooks, all optional: tell(figure) describes a dial under the pointer or in focus; made(figure)
// adds to a new dial; moved(figure) follows when its arrows have been drawn. A figure has a `name`,
// its `waves`, the `scales`, the longest arrow of each kind, and how long that is drawn, `reach`
// (`view.reach` leaves room for more at the tips). What is returned,
// { columns, scales }, keeps the dials as they are if it is passed in as `view.held`.
function drawPhasors(view, hooks = {}) {
  const { layer, operation, token } = view;
  const columns = view.held?.columns ?? influentialColumns(view);
  const waves = columns.map((column) => ({
    column,
    first: wave(layer, 0, token, column),
    second: wave(layer, 1, token, column),
    both: superposed(layer, operation, token, column),
  }));
  const top = (name) => Math.max(...waves.map((w) => w[name].magnitude)) || 1;
  const own = Math.max(top("first"), top("second"));
  const scales = view.held?.scales ?? { first: own, second: own, both: top("both") };
  const box = document.getElementById("phasors");
  if (box.childElementCount !== columns.length) {
    box.replaceChildren(...columns.map((_, i) => dial(i, view, hooks)));
  }
  [...box.children].forEach((figure, i) => {
    Object.assign(figure, { waves: waves[i], scales, reach: view.reach ?? LONGEST, name: `dimension ${layer.order[columns[i]]}` });
    figure.lastChild.textContent = figure.name;
    figure.firstChild.setAttribute("aria-label", figure.name);
    turn(figure);
    hooks.moved?.(figure);
  });
  return { columns, scales };
}

function influentialColumns({ layer, token }) {
  const influence = decode(layer.influence);
  return [...layer.order.keys()]
    .sort((a, b) => influence.at(token, b) - influence.at(token, a))
    .slice(0, DIALS);
}

function dial(index, view, hooks) {
  const figure = document.createElement("figure");
  figure.className = "dial";
  figure.tabIndex = index === 0 ? 0 : -1;
  const drawing = svg("svg", { viewBox: "-50 -50 100 100", role: "img" });
  drawing.append(svg("circle", { class: "rim", r: 46 }));
  drawing.append(svg("path", { class: "axis", d: "M-46 0H46M0 -46V46" }));
  for (const kind of ARROWS) {
    drawing.append(svg("line", { class: kind, x1: 0, y1: 0 }));
    drawing.append(svg("circle", { class: `${kind} tip`, r: 2.5 }));
  }
  figure.append(drawing, "");
  const tell = hooks.tell ?? (() => {
    document.getElementById("phasors-numbers").textContent = dialNumbers(view, figure);
  });
  figure.addEventListener("pointerenter", () => tell(figure));
  figure.addEventListener("focus", () => tell(figure));
  figure.addEventListener("keydown", (event) => rove(event, figure));
  hooks.made?.(figure);
  return figure;
}

// Draws the arrows of a dial's waves.
function turn(figure) {
  for (const kind of ARROWS) {
    const { x, y } = tipOf(figure, kind);
    const line = figure.querySelector(`line.${kind}`);
    const tip = figure.querySelector(`.${kind}.tip`);
    for (const [name, value] of [["x2", x], ["y2", y]]) line.setAttribute(name, value);
    for (const [name, value] of [["cx", x], ["cy", y]]) tip.setAttribute(name, value);
  }
}

function tipOf({ waves, scales, reach }, kind) {
  const { real, imag } = waves[kind];
  return { x: (reach * real) / scales[kind], y: (-reach * imag) / scales[kind] };
}

function dialNumbers(view, { name, waves }) {
  return `${name}: ${arrow("variant 1", waves.first)}; ${arrow("variant 2", waves.second)}; ` +
    `${arrow(view.operation, waves.both)}; ` +
    `influence ${number(decode(view.layer.influence).at(view.token, waves.column))}`;
}

const arrow = (name, w) => `${name} magnitude ${number(w.magnitude)}, phase ${number(w.phase)} rad`;

function svg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// Arrow keys move the focus among the focusable children of one box, of which one is in the tab
// order.
function rove(event, element) {
  const all = [...element.parentElement.children].filter((child) => child.hasAttribute("tabindex"));
  const place = all.indexOf(element);
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const target = { Home: 0, End: all.length - 1 }[event.key] ?? (step && place + step);
  if (target === undefined) return;
  event.preventDefault();
  const next = all[Math.min(all.length - 1, Math.max(0, target))];
  for (const other of all) other.tabIndex = other === next ? 0 : -1;
  next.focus();
}
