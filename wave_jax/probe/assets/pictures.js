// The shaded tokens, the heat maps and the coupling matrices of a view:
// { text, layer, operation, token, measure, variant, part, count }.

const measures = {
  integrated: {
    name: "integrated gradients", kind: "sign",
    meaning: "The token's share of the change of the SCALAR from a text of unknown words to this one: orange raises it, blue lowers it.",
    values: (view) => view.text.integrated_gradients.tokens,
  },
  product: {
    name: "gradient \u00d7 input", kind: "sign",
    meaning: "The token's contribution to the SCALAR to first order: orange raises it, blue lowers it.",
    values: (view) => view.text.gradient_times_input,
  },
  gradient: {
    name: "gradient",
    meaning: "How far the SCALAR would move for a small change of the token's embedding: the L2 norm of its gradient.",
    values: (view) => view.text.gradient,
  },
  magnitude: {
    name: "magnitude path",
    meaning: "The part of the gradient at the token's two variants that flows through the magnitudes G, which all tokens of a scope share.",
    values: (view) => view.layer.magnitude_path,
  },
  phase: {
    name: "phase path",
    meaning: "The part of the gradient at the token's two variants that flows through the phases \u03b1, its own and those it shifts in other tokens.",
    values: (view) => view.layer.phase_path,
  },
};

const largestOf = (values) => values.reduce((top, x) => Math.max(top, Math.abs(x)), 0);

// `act(i)`, if there is one, is what a click on the chosen token does, Enter and Delete too. What a
// keystroke leaves as it was is not touched: a browser takes long to lay out hundreds of buttons.
function drawTokens(view, choose, act) {
  const measure = measures[view.measure];
  const kind = measure.kind || "size";
  const values = measure.values(view);
  const largest = largestOf(values);
  const box = document.getElementById("tokens");
  if (box.shown !== view.textIndex) {
    box.shown = view.textIndex;
    if (!box.buttons) listenToTokens(box, view, choose, act);
    box.buttons = fillTokens(box, view.text);
  }
  box.buttons.forEach((button, i) => {
    const rgb = colour(kind, values[i] / (largest || 1));
    const chosen = i === view.token;
    if (button.rgb !== rgb) button.style.cssText = `background-color: ${css(rgb)}; color: ${ink(rgb)}`;
    if (button.chosen !== chosen) button.setAttribute("aria-selected", chosen);
    if (button.chosen !== chosen) button.tabIndex = chosen ? 0 : -1;
    Object.assign(button, { rgb, chosen });
  });
  showToken(view, view.token);
  document.getElementById("measure-meaning").textContent =
    measure.meaning.replace("SCALAR", view.text.of);
  drawLegend(kind, largest);
}

// Makes the children of the box the text's tokens, before the first one of a group the group's name,
// where there are groups; children that fit are kept. Returns the buttons.
function fillTokens(box, { tokens, groups }) {
  const buttons = [];
  let made, child = box.firstElementChild;
  const put = (kind, name) => {
    if (child?.localName !== kind) child = box.insertBefore(tokenElement(kind), child);
    if (child.textContent !== name) child.textContent = name;
    [made, child] = [child, child.nextElementSibling];
    return made;
  };
  tokens.forEach((name, i) => {
    if (groups && groups[i] !== groups[i - 1]) put("span", groups[i]);
    buttons.push(put("button", name));
  });
  while (made.nextSibling) made.nextSibling.remove();
  return buttons;
}

function tokenElement(kind) {
  const [className, role] = kind === "button" ? ["token", "option"] : ["group", "presentation"];
  const made = Object.assign(document.createElement(kind), { className, type: "button" });
  made.setAttribute("role", role);
  return made;
}

function listenToTokens(box, view, choose, act) {
  const on = (name, follow) => box.addEventListener(name, (event) => {
    const i = box.buttons.indexOf(event.target);
    if (i >= 0) follow(i, event);
  });
  let chosen = false; // already, before this click
  on("pointerdown", (i) => { chosen = i === view.token; });
  on("click", (i, event) => (act && (chosen || event.detail === 0) ? act(i) : choose(i)));
  on("keydown", (i, event) => {
    if (act && ["Delete", "Backspace"].includes(event.key)) act(i);
    else rove(event, event.target);
  });
  on("pointerover", (i) => showToken(view, i));
  on("focusin", (i) => choose(i));
}

function showToken(view, i) {
  document.getElementById("tokens-numbers").textContent = tokenNumbers(view, i);
}

function tokenNumbers(view, i) {
  const parts = Object.values(measures).map(
    (m) => `${m.name} ${number(m.values(view)[i], m.kind === "sign")}`,
  );
  const more = view.text.more?.(i) ?? "";
  return `${view.text.tokens[i]}: ${parts.join(", ")}${more}`;
}

function drawLegend(kind, largest) {
  const canvas = document.getElementById("legend");
  const context = canvas.getContext("2d");
  for (let x = 0; x < canvas.width && canvas.shown !== palette[kind]; x++) {
    const t = x / (canvas.width - 1);
    context.fillStyle = css(colour(kind, kind === "size" ? t : 2 * t - 1));
    context.fillRect(x, 0, 1, 1);
  }
  canvas.shown = palette[kind];
  document.getElementById("legend-low").textContent = kind === "size" ? "0" : number(-largest);
  document.getElementById("legend-high").textContent = number(largest);
}

// What each heat map shows: value(view, token, column), its palette, and t for the palette.
const maps = {
  "map-phase": {
    name: "phase", unit: " rad",
    value: (view, token, column) => decode(view.layer.variants[view.variant].phase).at(token, column),
    t: (x) => Math.sign(Math.PI / 2 - x) * Math.sqrt(Math.abs(1 - x / (Math.PI / 2))),
  },
  "map-d-phase": {
    name: "dL/d\u03b1", unit: "",
    value: (view, token, column) => decode(view.layer.variants[view.variant].d_phase).at(token, column),
    t: shade,
  },
  "map-wave": {
    name: "superposed", unit: "",
    value: (view, token, column) => superposed(view.layer, view.operation, token, column)[view.part],
    t: shade,
  },
};

function drawMap(grid, map, view) {
  const rows = view.text.tokens.length;
  const columns = Math.min(view.count, view.layer.order.length);
  let largest = 0;
  const values = new Float32Array(rows * columns);
  for (let i = 0; i < values.length; i++) {
    values[i] = map.value(view, Math.floor(i / columns), i % columns);
    largest = Math.max(largest, Math.abs(values[i]));
  }
  const fill = (row, column) => colour("sign", map.t(values[row * columns + column], largest));
  grid.draw({ rows, columns, fill, names: view.text.tokens, marked: view.token });
}

function describeCell(map, view, token, column) {
  const value = number(map.value(view, token, column), map.unit === "");
  return `${view.text.tokens[token]}, dimension ${view.layer.order[column]}: ${map.name} ${value}${map.unit}`;
}

function drawCoupling(grid, part, view) {
  const matrix = decode(view.layer.couplings[view.operation][part]);
  grid.draw({
    rows: matrix.rows, columns: matrix.columns, square: true,
    names: view.text.tokens, marked: view.token,
    fill: (row, column) => colour("size", shade(matrix.at(row, column), matrix.largest)),
  });
}

function describeCoupling(part, view, row, column) {
  const { tokens } = view.text;
  const value = decode(view.layer.couplings[view.operation][part]).at(row, column);
  return `the wave of ${tokens[row]} (row ${row}) by ${tokens[column]} (column ${column}): ${number(value)}`;
}

function drawTable(text) {
  const layers = text.layers.flatMap((layer, i) => {
    const suffix = text.layers.length > 1 ? ` ${i + 1}` : "";
    return [[`magnitude path${suffix}`, layer.magnitude_path], [`phase path${suffix}`, layer.phase_path]];
  });
  const columns = [
    ["gradient", text.gradient], ...layers, ["gradient \u00d7 input", text.gradient_times_input],
    ["integrated", text.integrated_gradients.tokens],
  ];
  const row = (kind, cells) => {
    const line = document.createElement("tr");
    line.append(...cells.map((cell) => Object.assign(document.createElement(kind), { textContent: cell })));
    return line;
  };
  document.getElementById("table").replaceChildren(
    row("th", ["token", ...columns.map(([name]) => name)]),
    ...text.tokens.map((token, i) => row("td", [token, ...columns.map(([, x]) => number(x[i]))])),
  );
}
