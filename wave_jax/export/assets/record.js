// An analysis as the pictures want it, see `probe_record` and `page.py` of wave_jax.probe: numbers
// are computed when they are first looked at.

const GROUPS = { 0: "pieces" };
const groupName = (size) =>
  GROUPS[size] ?? (size < 0 ? "beginnings of words" : size === 2 ? "pairs of words" : `runs of ${size} words`);

// Adds properties that are computed once, when first asked for.
function lazy(object, parts) {
  for (const [name, make] of Object.entries(parts)) {
    Object.defineProperty(object, name, {
      configurable: true, enumerable: true,
      get() {
        const value = make();
        Object.defineProperty(object, name, { value });
        return value;
      },
    });
  }
  return object;
}

// A matrix as `decode` returns it; at(row, column) is called anew each time.
const matrix = (rows, columns, at) => ({ values: { rows, columns, at } });

function makeRecord(analysis, order, mostEvaluations) {
  const { network, input, of } = analysis;
  const { ids, names } = input;
  const dim = network.about.dim;
  const each = (f) => ids.map((_, j) => f(j));
  const layer = lazy({ dimensions: dim, order, couplings: {} }, {
    magnitude_path: () => each((j) => analysis.norm(j, analysis.magnitudePath)),
    phase_path: () => each((j) => analysis.norm(j, analysis.phasePath)),
  });
  for (const [op] of network.about.readouts) layer.couplings[op] = null; // named, but not drawn
  const at = (f) => [0, 1].map((v) => matrix(ids.length, dim, (j, place) => f(j, v * dim + order[place])));
  const [magnitude, phase, paths, rest] = [
    at((j, q) => analysis.magnitude(q)), at((j, q) => analysis.phase(j, q)),
    at((j, q) => analysis.magnitudePath(j, q)), at((j, q) => analysis.phasePath(j, q)),
  ];
  layer.variants = [0, 1].map((v) => ({
    magnitude: magnitude[v], phase: phase[v], magnitude_path: paths[v], phase_path: rest[v],
  }));
  layer.influence = matrix(ids.length, dim, (j, place) =>
    Math.hypot(analysis.gradient(j, order[place]), analysis.gradient(j, dim + order[place])));
  const text = {
    tokens: names, of, layers: [layer],
    groups: input.groups.some(Boolean) ? input.groups.map(groupName) : undefined,
    more: (j) => withoutToken(analysis, j),
  };
  return lazy(text, {
    gradient: () => each((j) => analysis.gradientNorm(j)),
    gradient_times_input: () => each((j) => analysis.gradientTimesInput(j)),
    integrated_gradients: () => analysis.integrate(mostEvaluations),
  });
}

// Dimensions, those with the largest gradient over all tokens first.
function influentialOrder(analysis) {
  const dim = analysis.network.about.dim;
  const totals = Array.from({ length: dim }, (_, k) => analysis.input.ids.reduce(
    (total, _, j) => total + Math.hypot(analysis.gradient(j, k), analysis.gradient(j, dim + k)), 0));
  return [...totals.keys()].sort((a, b) => totals[b] - totals[a]);
}

// The pairs [name, formula with its numbers] of a dial.
function dialFormulas(analysis, view, { column, first, second, both }) {
  const dim = analysis.network.about.dim;
  const k = view.layer.order[column];
  const complex = (w) => `${number(w.real)} ${w.imag < 0 ? "\u2212" : "+"} ${number(Math.abs(w.imag))}\u2009i`;
  const polarForm = (w) => `${number(w.magnitude)}\u2009e^(${number(w.phase)}\u2009i)`;
  const one = (name, w) => [name, `Z = G e^(i\u03b1) = ${polarForm(w)} = u + i r = ${complex(w)}, ` +
    `with G = \u221a(\u03a3u\u00b2) = ${number(w.magnitude)} and cos \u03b1 = u/G = ${number(w.real / (w.magnitude || 1))}`];
  const [a, b] = [first, second];
  const joined = view.operation === "modulation"
    ? `Z Z\u2032 = (u u\u2032 \u2212 r r\u2032) + i (u r\u2032 + r u\u2032) = ${complex(both)} = G G\u2032 e^(i(\u03b1 + \u03b1\u2032)) = ` +
      `${number(a.magnitude)} \u00b7 ${number(b.magnitude)}\u2009e^(${number(a.phase + b.phase)}\u2009i)`
    : `Z + Z\u2032 = (u + u\u2032) + i (r + r\u2032) = ${complex(both)}, interference term 2 G G\u2032 cos(\u03b1 \u2212 \u03b1\u2032) = ` +
      number(2 * a.magnitude * b.magnitude * Math.cos(a.phase - b.phase));
  const gradient = (name, q) => {
    const [whole, m, p] = [analysis.gradient(view.token, q), analysis.magnitudePath(view.token, q), analysis.phasePath(view.token, q)];
    const silent = view.token === 0 ? `, dL/d\u03b1 = ${number(analysis.dPhase(0, q), true)}` : "";
    return [name, `dL/du = ${number(m, true)} (magnitude path, dL/dG \u00b7 u/G with dL/dG = ${number(analysis.dMagnitude(q), true)}) ` +
      `${p < 0 ? "\u2212" : "+"} ${number(Math.abs(p))} (phase path) = ${number(whole, true)}${silent}`];
  };
  return [one("variant 1", a), one("variant 2", b), [view.operation, joined],
    gradient("gradient 1", k), gradient("gradient 2", dim + k)];
}

function withoutToken(analysis, j) {
  if (j === 0 || analysis.input.dropped.has(j)) return j === 0 ? "" : "; it is dropped";
  return `; without it the ${analysis.of} would be ${number(analysis.valueWithout(j), true)} ` +
    `instead of ${number(analysis.value, true)}`;
}

// What a class's probability is made of.
function classFormula(analysis, c) {
  const { network, logits, probabilities, count } = analysis;
  const total = [...logits].reduce((sum, x) => sum + Math.exp(x - logits[c]), 0);
  const parts = network.linear ? analysis.linearPart(c) : null;
  const made = parts === null ? "" :
    ` = ${number(logits[c] - parts, true)} by the waves ${parts < 0 ? "\u2212" : "+"} ${number(Math.abs(parts))} ` +
    `by the own weights of ${counted(count, "token")} (their sum / ${count}^\u00bc)`;
  return `${network.about.labels[c]}: p = e^z / \u03a3 e^z\u2032 = 1 / ${number(total)} = ${percent(probabilities[c])}, ` +
    `logit z = ${number(logits[c], true)}${made}`;
}

const percent = (p) => `${(100 * p).toFixed(1)} %`;
