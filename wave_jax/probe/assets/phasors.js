// The chosen token's waves as arrows, one dial for each of its most influential dimensions.

const DIALS = 24;
const LONGEST = 43; // of an arrow, so that its tip stays inside the rim
const SVG = "http://www.w3.org/2000/svg";

function drawPhasors(view) {
  const { layer, operation, token } = view;
  const influence = decode(layer.influence);
  const columns = [...layer.order.keys()]
    .sort((a, b) => influence.at(token, b) - influence.at(token, a))
    .slice(0, DIALS);
  const waves = columns.map((column) => ({
    column,
    first: wave(layer, 0, token, column),
    second: wave(layer, 1, token, column),
    both: superposed(layer, operation, token, column),
  }));
  const top = (name) => Math.max(...waves.map((w) => w[name].magnitude)) || 1;
  const own = Math.max(top("first"), top("second"));
  const scales = { first: own, second: own, both: top("both") };
  const box = document.getElementById("phasors");
  box.replaceChildren(...waves.map((w, i) => dial(view, w, scales, i)));
}

function dial(view, waves, scales, index) {
  const name = `dimension ${view.layer.order[waves.column]}`;
  const figure = document.createElement("figure");
  figure.className = "dial";
  figure.tabIndex = index === 0 ? 0 : -1;
  const drawing = svg("svg", { viewBox: "-50 -50 100 100", role: "img", "aria-label": name });
  drawing.append(svg("circle", { class: "rim", r: 46 }));
  drawing.append(svg("path", { class: "axis", d: "M-46 0H46M0 -46V46" }));
  for (const kind of ["first", "second", "both"]) {
    const x = (LONGEST * waves[kind].real) / scales[kind];
    const y = (-LONGEST * waves[kind].imag) / scales[kind];
    drawing.append(svg("line", { class: kind, x1: 0, y1: 0, x2: x, y2: y }));
    drawing.append(svg("circle", { class: `${kind} tip`, cx: x, cy: y, r: 2.5 }));
  }
  figure.append(drawing, name);
  const tell = () => {
    document.getElementById("phasors-numbers").textContent = `${name}: ${arrow("variant 1", waves.first)}; ` +
      `${arrow("variant 2", waves.second)}; ${arrow(view.operation, waves.both)}; ` +
      `influence ${number(decode(view.layer.influence).at(view.token, waves.column))}`;
  };
  figure.addEventListener("pointerenter", tell);
  figure.addEventListener("focus", tell);
  figure.addEventListener("keydown", (event) => rove(event, figure));
  return figure;
}

const arrow = (name, w) => `${name} magnitude ${number(w.magnitude)}, phase ${number(w.phase)} rad`;

function svg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// Arrow keys move the focus among the children of one box, of which one is in the tab order.
function rove(event, element) {
  const all = [...element.parentElement.children];
  const place = all.indexOf(element);
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const target = { Home: 0, End: all.length - 1 }[event.key] ?? (step && place + step);
  if (target === undefined) return;
  event.preventDefault();
  const next = all[Math.min(all.length - 1, Math.max(0, target))];
  for (const other of all) other.tabIndex = other === next ? 0 : -1;
  next.focus();
}
