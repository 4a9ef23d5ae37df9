// The page's state, and what follows when the text, the class or an arrow changes.

const element = (id) => document.getElementById(id);
const view = { textIndex: 0, token: 0, dial: 0, measure: "integrated", variant: 0, of: "margin", explain: null, reach: REACH, sight: new Set() };
const MOST_CLASSES = 16; // that are shown at once
const LONGEST_LINK = 4000; // characters of a text that the address holds
const HEAD_WORK = 5e6; // multiplications that integrated gradients may cost at a keystroke
let network, input, unchanged, analysis;

const pathMap = (name, part) => ({
  name, unit: "", t: shade,
  value: (v, token, column) => decode(v.layer.variants[v.variant][part]).at(token, column),
});
const pictures = {
  "map-phase": maps["map-phase"],
  "map-magnitude-path": pathMap("magnitude path", "magnitude_path"),
  "map-phase-path": pathMap("phase path", "phase_path"),
};
const grids = Object.fromEntries(Object.entries(pictures).map(([id, map]) => [
  id, new Grid(id, (row, column) => describeCell(map, view, row, column), chooseToken),
]));
const showSliders = makeSliders(element("sliders"), { hold, change: moveWave });

// A new text: dropped tokens and dragged arrows belong to the one before.
function readText(follow = draw) {
  const before = view.text?.tokens[view.token];
  input = network.read(element("text").value);
  view.textIndex++;
  view.held = unchanged = null;
  analyse(true);
  unchanged = analysis;
  const shares = measures[view.measure].values(view).map(Math.abs);
  const stays = input.names.indexOf(before);
  view.token = view.pinned && stays >= 0 ? stays : shares.indexOf(largestOf(shares));
  follow();
}

function analyse(anew = false) {
  analysis = new engine.Analysis(network, input, view.of, view.explain);
  if (anew) view.order = influentialOrder(analysis);
  const head = network.headWork();
  view.text = makeRecord(analysis, view.order, Math.min(1024, Math.max(8, HEAD_WORK / head)));
  view.layer = view.text.layers[0];
  view.operation ??= network.about.readouts[0][0];
  view.count = Math.min(128, view.order.length);
}

function update() {
  analyse();
  draw();
}

function chooseToken(index) {
  view.pinned = true;
  if (index === view.token) return;
  view.token = index;
  view.dial = 0;
  view.held = null;
  draw();
}

function dropToken(index) {
  if (index === 0) return; // [CLS] is what the network reads
  if (!input.dropped.delete(index)) input.dropped.add(index);
  update();
}

// A token's dials stay where they are; while an arrow moves, so does their scale.
function hold(on) {
  view.dragged = on;
  if (!on) update();
}

function moveWave(variant, u, r) {
  if (!view.held || input.dropped.has(view.token)) return;
  const k = view.order[view.held.columns[view.dial]];
  input.moved = true;
  setWave(analysis, view.token, variant * network.about.dim + k, u, r);
  update();
}

function draw() {
  drawAnswer();
  drawWaves();
}

// What a keystroke must show at once.
function drawAnswer() {
  drawClasses();
  drawTokens(view, chooseToken, dropToken);
  element("tokens").querySelectorAll(".token").forEach((button, j) => {
    const dropped = input.dropped.has(j);
    const name = input.names[j] + (dropped ? ", dropped" : "");
    button.classList.toggle("dropped", dropped);
    button.classList.toggle("strange", input.unseen[j]);
    if (button.ariaLabel !== name) button.ariaLabel = name;
  });
  element("explained").textContent = network.about.labels[analysis.label];
  drawNotes();
}

// The pictures, which may follow.
function drawWaves() {
  for (const span of document.querySelectorAll(".chosen")) span.textContent = input.names[view.token];
  for (const span of document.querySelectorAll(".scalar")) span.textContent = view.of;
  element("both-name").textContent = `${view.operation} (its own scale)`;
  element("phase-note").textContent = view.token === 0 ? "The network reads the phases of this token alone." :
    `The network reads the phases of ${input.names[0]} alone: turning those of others moves the answer little.`;
  // Pictures out of sight wait until they are scrolled to; the first dials give the page its height.
  if (view.sight.has("dials") || !element("phasors").childElementCount) drawDials();
  if (view.sight.has("paths")) drawPaths();
}

function drawDials() {
  const pulls = [];
  const hooks = {
    tell: (figure) => { if (!view.dragged) chooseDial(figure); },
    made: (figure) => makeDraggable(figure, { choose: chooseDial, hold, change: moveWave }),
    moved: (figure) => {
      const k = view.order[figure.waves.column];
      const own = [k, network.about.dim + k].map((q) => pullOf(analysis, view.token, q));
      pulls.push([figure, own]);
    },
  };
  if (!view.dragged && view.held) view.held.scales = null;
  view.held = drawPhasors(view, hooks);
  const longest = largestOf(pulls.flatMap(([, own]) => own.map((pull) => Math.hypot(...pull))));
  for (const [figure, own] of pulls) followTips(figure, own, longest);
  element("longest-pull").textContent = number(longest);
  view.dial = Math.min(view.dial, pulls.length - 1);
  describeDial();
}

function chooseDial(figure) {
  if (!view.held) drawDials(); // they were out of sight when the text changed
  view.dial = [...figure.parentElement.children].indexOf(figure);
  describeDial();
}

function describeDial() {
  const figures = [...element("phasors").children];
  figures.forEach((figure, i) => figure.setAttribute("aria-current", i === view.dial));
  const { waves } = figures[view.dial];
  element("dial-name").textContent = `${input.names[view.token]}, dimension ${view.order[waves.column]}`;
  showSliders(waves, !input.dropped.has(view.token));
  element("formulas").replaceChildren(...dialFormulas(analysis, view, waves).flatMap(([name, formula]) => [
    Object.assign(document.createElement("dt"), { textContent: name }),
    Object.assign(document.createElement("dd"), { textContent: formula }),
  ]));
}

function drawPaths() {
  if (element("maps").open) for (const [id, grid] of Object.entries(grids)) drawMap(grid, pictures[id], view);
  const energy = (norms) => norms.reduce((total, x) => total + x * x, 0);
  const [m, p] = [energy(view.layer.magnitude_path), energy(view.layer.phase_path)];
  const share = m + p ? m / (m + p) : 0;
  element("shares").replaceChildren(...[["magnitude", share], ["phase", 1 - share]].map(([name, size]) => {
    const part = Object.assign(document.createElement("span"), { className: name });
    part.style.flex = `${size} 0 0`;
    element(`${name}-share`).textContent = percent(size);
    return part;
  }));
  if (element("numbers").open) drawTable(view.text);
  const some = view.count < view.order.length ? `, the first ${view.count} of ${view.order.length}` : "";
  element("maps-meaning").textContent = `Rows are tokens, columns dimensions, those with the largest gradient first${some}; a shade grows with the square root of the number.`;
}

function drawClasses() {
  const { labels } = network.about;
  const shown = [...labels.keys()];
  if (labels.length > MOST_CLASSES) {
    shown.sort((a, b) => analysis.probabilities[b] - analysis.probabilities[a]).splice(MOST_CLASSES);
    if (!shown.includes(analysis.label)) shown[MOST_CLASSES - 1] = analysis.label;
  }
  const box = element("classes");
  while (box.childElementCount < shown.length) box.append(classButton());
  const changed = input.moved || input.dropped.size > 0;
  [...box.children].forEach((button, i) => {
    const c = shown[i];
    const share = analysis.probabilities[c];
    button.dataset.index = c;
    button.classList.toggle("best", c === analysis.predicted);
    button.setAttribute("aria-pressed", c === view.explain);
    button.ariaLabel = `${labels[c]}: ${percent(share)}`;
    const [name, , shareText] = button.children;
    if (name.textContent !== labels[c]) name.textContent = name.title = labels[c];
    shareText.textContent = percent(share);
    button.querySelector(".bar").style.transform = `scaleX(${share})`;
    const mark = button.querySelector(".before");
    const before = changed && unchanged ? unchanged.probabilities[c] : share;
    mark.hidden = Math.abs(before - share) < 0.005;
    mark.style.left = `${100 * before}%`;
  });
  element("class-numbers").textContent = classFormula(analysis, view.hovered ?? analysis.label);
  speak();
}

function classButton() {
  const make = (kind, name) => Object.assign(document.createElement(kind), { className: name });
  const button = Object.assign(make("button", "class"), { type: "button" });
  const track = make("span", "track");
  track.append(make("span", "bar"), make("span", "before"));
  button.append(make("span", "name"), track, make("span", "share"));
  const index = () => Number(button.dataset.index);
  button.addEventListener("click", () => {
    view.explain = view.explain === index() ? null : index();
    update();
    writeLink();
  });
  const hover = (on) => () => {
    view.hovered = on ? index() : null;
    element("class-numbers").textContent = classFormula(analysis, view.hovered ?? analysis.label);
  };
  for (const [event, on] of [["pointerenter", true], ["focus", true], ["pointerleave", false], ["blur", false]]) {
    button.addEventListener(event, hover(on));
  }
  return button;
}

function drawNotes() {
  const unseen = input.unseen.filter(Boolean).length;
  const notes = [
    input.cut && `Beyond the network\u2019s length, ${counted(input.cut, "piece was", "pieces were")} not read.`,
    unseen && `Not met in training, ${counted(unseen, "token (dotted) counts as zeros", "tokens (dotted) count as zeros")}.`,
    input.ids.length <= 2 && "An empty text: the network answers from [CLS] and [SEP] alone.",
  ];
  element("note").textContent = notes.filter(Boolean).join(" ");
  const dropped = input.dropped.size;
  const undo = [dropped && `${dropped} dropped`, input.moved && "moved arrows"].filter(Boolean);
  element("undo").hidden = !undo.length;
  element("undo").textContent = `Undo: ${undo.join(", ")}`;
}

// Screen readers hear the answer when typing pauses.
const later = (milliseconds, act, timer = 0) => () => {
  clearTimeout(timer);
  timer = setTimeout(act, milliseconds);
};
const speak = later(800, () => {
  const { labels } = network.about;
  const order = [...labels.keys()].sort((a, b) => analysis.probabilities[b] - analysis.probabilities[a]);
  element("spoken").textContent = order.slice(0, 2).map((c) => `${labels[c]} ${percent(analysis.probabilities[c])}`).join(", ");
});

// The address holds the text, and the class that is explained, so that it can be passed on.
const writeLink = later(300, () => {
  const text = element("text").value;
  if (text.length > LONGEST_LINK) return;
  const parts = new URLSearchParams({ text });
  if (view.explain !== null) parts.set("class", network.about.labels[view.explain]);
  history.replaceState(null, "", `#${parts}`);
});

function readLink() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const label = network.about.labels.indexOf(parts.get("class"));
  view.explain = label < 0 ? null : label;
  element("text").value = parts.get("text") ?? network.about.examples[0] ?? "";
  readText();
}

function fill(id, names, key, act) {
  element(id).replaceChildren(...names.map(([value, name]) => new Option(name, value)));
  element(id).value = view[key];
  element(id).onchange = () => { view[key] = element(id).value; act(); };
}

function setUp() {
  const { labels, dim, examples, readouts } = network.about;
  element("about").textContent = `The whole network is inside this page and runs offline: ${counted(network.vocabularySize(), "token")}, ` +
    `each as two waves of ${counted(dim, "dimension")} in 8-bit numbers, and ${counted(labels.length, "class", "classes")}. Nothing that you type leaves it.`;
  fill("measure-choice", Object.entries(measures).map(([key, m]) => [key, m.name]), "measure", draw);
  fill("of-choice", ["margin", "logit", "loss"].map((name) => [name, name]), "of", update);
  view.operation = readouts[0][0];
  fill("operation-choice", readouts.map(([op]) => [op, op]), "operation", () => { view.held = null; draw(); });
  element("operation-line").hidden = readouts.length === 1;
  element("examples").hidden = !examples.length;
  element("examples").append(...examples.map((text) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: text, title: text.slice(0, 300) });
    button.onclick = () => { element("text").value = text; view.pinned = false; readText(); writeLink(); };
    return button;
  }));
  element("text").disabled = false;
  // A frame shows the answer, the next one the pictures; a new keystroke puts both off.
  let frame;
  const answer = () => {
    readText(drawAnswer);
    frame = requestAnimationFrame(drawWaves);
    writeLink();
  };
  element("text").oninput = () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(answer);
  };
  element("undo").onclick = () => readText();
  element("variant-choice").onchange = (event) => { view.variant = Number(event.target.value); draw(); };
  element("maps").open = window.innerWidth > 480; // long, one below the other
  element("maps").ontoggle = element("numbers").ontoggle = drawPaths;
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) view.sight[isIntersecting ? "add" : "delete"](target.id);
    drawWaves();
  }, { rootMargin: "200px" });
  for (const id of ["dials", "paths"]) observer.observe(element(id));
  window.addEventListener("hashchange", readLink);
  dark.addEventListener("change", draw);
  readLink();
}

engine.open(element("data").textContent).then((opened) => {
  network = opened;
  setUp();
}).catch((error) => {
  element("about").textContent = `This browser cannot run the page (${error.message}): it needs one of 2023 or later.`;
  throw error;
});
