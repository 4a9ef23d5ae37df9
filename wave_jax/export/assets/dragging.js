// Arrows that can be dragged, and sliders that do the same for the keyboard.

const LEAST = 1e-3; // of a magnitude: no part vanishes altogether, so that every move can be undone
const PULL = 11; // length of the longest gradient drawn at a tip
const REACH = 33; // of the longest arrow: with a gradient and its head, 2, it ends at the rim
const VARIANTS = ["first", "second"];

// Gives a token the wave u + i r in a column: its own number becomes u; those of all others are
// scaled, so that their norm becomes r. Longer arrows scale all tokens, turned ones trade.
function setWave(analysis, j, q, u, r) {
  const scale = Math.max(LEAST * Math.hypot(u, r), r) / analysis.r(j, q);
  if (!Number.isFinite(scale) || !Number.isFinite(u)) return;
  for (const i of analysis.kept) {
    if (i === j) analysis.input.rows[i][q] = u;
    else analysis.input.rows[i][q] *= scale;
  }
}

// The derivative of the scalar by such moves: at u, and at r.
function pullOf(analysis, j, q) {
  const own = analysis.gradient(j, q);
  const r = analysis.r(j, q);
  const whole = analysis.dMagnitude(q) * analysis.magnitude(q); // sum of all u dL/du
  return [own, r ? (whole - own * analysis.u(j, q)) / r : 0];
}

// Lets the tips of a new dial be dragged. change(u, r) is called for each move, `variant` 0 or 1;
// hold(true) before the first, hold(false) after the last.
function makeDraggable(figure, { choose, hold, change }) {
  const drawing = figure.querySelector("svg");
  for (const kind of VARIANTS) {
    drawing.append(svg("line", { class: `pull ${kind}-pull` }), svg("circle", { class: `pull head ${kind}-head`, r: 2 }));
  }
  for (const kind of VARIANTS) drawing.append(svg("circle", { class: `handle ${kind}-handle`, r: 13 }));
  const place = (event) => {
    const box = drawing.getBoundingClientRect();
    return { x: (100 * (event.clientX - box.left)) / box.width - 50, y: (100 * (event.clientY - box.top)) / box.height - 50 };
  };
  let dragged = null;
  figure.addEventListener("pointerdown", (event) => {
    choose(figure);
    // A finger on the dial but not on a tip scrolls the page.
    if (event.pointerType !== "mouse" && !event.target.classList.contains("handle")) return;
    const { x, y } = place(event);
    const away = VARIANTS.map((kind) => { const tip = tipOf(figure, kind); return Math.hypot(tip.x - x, tip.y - y); });
    dragged = away[1] < away[0] ? 1 : 0;
    figure.setPointerCapture(event.pointerId);
    figure.classList.add("dragged");
    hold(true);
  });
  figure.addEventListener("pointermove", (event) => {
    if (dragged === null) return;
    const { x, y } = place(event);
    const scale = figure.scales[VARIANTS[dragged]] / figure.reach;
    change(dragged, x * scale, Math.max(0, -y) * scale);
  });
  const end = () => {
    if (dragged === null) return;
    dragged = null;
    figure.classList.remove("dragged");
    hold(false);
  };
  figure.addEventListener("pointerup", end);
  figure.addEventListener("pointercancel", end);
}

// Moves the handles to the tips, and draws the gradient there; `longest` is that of all dials. At a
// tip that is being dragged to the rim it is shorter, so that it stays inside.
function followTips(figure, pulls, longest) {
  VARIANTS.forEach((kind, v) => {
    const { x, y } = tipOf(figure, kind);
    const set = (selector, values) => {
      const part = figure.querySelector(selector);
      for (const [name, value] of Object.entries(values)) part.setAttribute(name, value);
    };
    const room = Math.min(PULL, Math.max(0, REACH + PULL - Math.hypot(x, y)));
    const [dx, dy] = pulls[v].map((value) => (room * value) / (longest || 1));
    const shown = Math.hypot(dx, dy) > 1.5 ? "visible" : "hidden";
    set(`.${kind}-handle`, { cx: x, cy: y });
    set(`.${kind}-pull`, { x1: x, y1: y, x2: x + dx, y2: y - dy, visibility: shown });
    set(`.${kind}-head`, { cx: x + dx, cy: y - dy, visibility: shown });
  });
}

// The four sliders, made once; returns a function that shows a dial's waves in them.
function makeSliders(box, { hold, change }) {
  const sliders = VARIANTS.flatMap((kind, v) => ["magnitude G", "phase \u03b1"].map((name, part) => {
    const label = document.createElement("label");
    label.className = kind;
    const input = Object.assign(document.createElement("input"), { type: "range", min: 0, step: "any" });
    const output = document.createElement("span");
    label.append(`variant ${v + 1}: ${name}`, output, input);
    box.append(label);
    return { input, output, v, part };
  }));
  let held = false;
  for (const { input, v } of sliders) {
    input.addEventListener("input", () => {
      if (!held) hold(true);
      held = true;
      const [size, angle] = sliders.filter((s) => s.v === v).map((s) => Number(s.input.value));
      change(v, size * Math.cos(angle), size * Math.sin(angle));
    });
    input.addEventListener("change", () => { held = false; hold(false); });
  }
  return (waves, enabled) => {
    for (const { input, output, v, part } of sliders) {
      const { magnitude, phase } = waves[VARIANTS[v]];
      input.disabled = !enabled;
      if (part === 0) output.textContent = number(magnitude);
      else output.textContent = `${number(phase)} rad`;
      if (held) continue;
      input.min = part === 0 ? 0.05 * magnitude : LEAST;
      input.max = part === 0 ? 2 * magnitude || 1 : Math.PI - LEAST;
      input.value = part === 0 ? magnitude : phase;
    }
  };
}
