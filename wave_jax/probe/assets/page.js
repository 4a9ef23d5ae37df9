// The current selection; everything is redrawn when it changes.

const element = (id) => document.getElementById(id);
const texts = JSON.parse(element("data").textContent);
const view = { textIndex: 0, layerIndex: 0, token: 0, measure: "integrated", variant: 0, part: "real", count: 64 };

const grids = Object.fromEntries(Object.entries(maps).map(([id, map]) => [
  id, new Grid(id, (row, column) => describeCell(map, view, row, column), chooseToken),
]));
const couplings = Object.fromEntries(["real", "imag"].map((part) => [
  part, new Grid(`coupling-${part}`, (row, column) => describeCoupling(part, view, row, column), chooseToken),
]));

function fillChoice(id, names, key, convert = String) {
  const select = element(id);
  select.replaceChildren(...names.map(([value, name]) => new Option(name, value)));
  select.value = view[key];
  select.onchange = () => {
    view[key] = convert(select.value);
    if (key === "textIndex") chooseText();
    else if (key === "layerIndex") chooseLayer();
    else draw();
  };
}

function chooseText() {
  view.text = texts[view.textIndex];
  const largest = Math.max(...view.text.gradient);
  view.token = Math.max(0, view.text.gradient.indexOf(largest));
  view.layerIndex = 0;
  fillChoice("layer-choice", view.text.layers.map((_, i) => [i, i + 1]), "layerIndex", Number);
  element("layer-line").hidden = view.text.layers.length === 1;
  describeText(view.text);
  drawTable(view.text);
  chooseLayer();
}

function chooseLayer() {
  view.layer = view.text.layers[view.layerIndex];
  const operations = Object.keys(view.layer.couplings);
  if (!operations.includes(view.operation)) view.operation = operations[0];
  fillChoice("operation-choice", operations.map((op) => [op, op]), "operation");
  element("operation-line").hidden = operations.length === 1;
  const kept = view.layer.order.length;
  view.count = Math.min(Math.max(view.count, 64), kept);
  const counts = [64, 128, 256, 512].filter((n) => n < kept).concat(kept);
  const all = kept === view.layer.dimensions ? `all ${kept}` : `${kept} of ${view.layer.dimensions}`;
  fillChoice("count-choice", counts.map((n) => [n, n === kept ? all : n]), "count", Number);
  draw();
}

function chooseToken(index) {
  if (index === view.token) return;
  view.token = index;
  draw();
}

function draw() {
  drawTokens(view, chooseToken);
  for (const span of document.querySelectorAll(".chosen")) span.textContent = view.text.tokens[view.token];
  for (const span of document.querySelectorAll(".operation")) span.textContent = view.operation;
  for (const span of document.querySelectorAll(".scalar")) span.textContent = `the ${view.text.of}`;
  element("both-name").textContent = `${view.operation} (its own scale)`;
  drawPhasors(view);
  for (const [id, grid] of Object.entries(grids)) drawMap(grid, maps[id], view);
  for (const [part, grid] of Object.entries(couplings)) drawCoupling(grid, part, view);
  element("coupling-meaning").textContent = view.operation === "interference"
    ? "Interference adds waves: a token's real part is its own, so only the imaginary part, the norm of the others, couples tokens."
    : "Modulation multiplies waves: both parts of a token's wave depend on the others, so all tokens are coupled in both.";
}

function describeText(text) {
  element("text").textContent = text.text;
  const ranked = Object.entries(text.probabilities).sort((a, b) => b[1] - a[1]).slice(0, 4);
  element("answer").textContent =
    "Answer: " + ranked.map(([name, share]) => `${name} ${(100 * share).toFixed(1)} %`).join(", ");
  element("note").textContent = text.note ?? "";
  const what = { loss: "loss of", logit: "logit of", margin: "margin of" }[text.of];
  element("of").textContent = `Gradients of the ${what} ${text.label}: ${number(text.value)}` +
    (text.tokens_cut ? `. Beyond the network's maximum length, ${counted(text.tokens_cut, "token was", "tokens were")} not read.` : "");
  element("maps-meaning").textContent =
    "Rows are tokens in their order, columns dimensions, those with the largest gradient over all tokens first; " +
    "a shade grows with the square root of the number, so that small ones show.";
  const ig = text.integrated_gradients;
  const from = `from ${number(ig.baseline_value)} (all words unknown) to ${number(ig.value)}`;
  const gap = ig.gap === null ? "unbounded" : `${(100 * ig.gap).toFixed(2)} %`;
  element("completeness").textContent = ig.converged
    ? `Integrated gradients add up ${from} to within ${gap} (${counted(ig.evaluations, "point")} of the path).`
    : `Integrated gradients do not add up ${from}: the gap is ${gap} after ${counted(ig.evaluations, "point")}.`;
}

element("text-line").hidden = texts.length === 1;
fillChoice("text-choice", texts.map((text, i) => [i, text.text.slice(0, 80)]), "textIndex", Number);
fillChoice("measure-choice", Object.entries(measures).map(([key, m]) => [key, m.name]), "measure");
element("variant-choice").onchange = (event) => { view.variant = Number(event.target.value); draw(); };
element("part-choice").onchange = (event) => { view.part = event.target.value; draw(); };
chooseText();
dark.addEventListener("change", draw);
