// Runs the engine of an exported page in Node: node run_page.mjs PAGE < requests > answers, each a
// JSON list. A request: {text, of, label, dropped: [indices]}.

import fs from "fs";
import vm from "vm";

const page = fs.readFileSync(process.argv[2], "utf8");
const data = page.match(/<script type="application\/json" id="data">(.*?)<\/script>/s)[1];
const script = page.match(/<script>("use strict";\nconst engine = .*?)<\/script>/s)[1];
const engine = vm.runInThisContext(`${script}\nengine`);
const network = await engine.open(data);

function answer({ text, of, label, dropped }) {
  const tokens = network.read(text);
  for (const j of dropped ?? []) tokens.dropped.add(j);
  const analysis = new engine.Analysis(network, tokens, of ?? "margin", label ?? null);
  const columns = [...analysis.own.keys()];
  const each = (f) => tokens.ids.map((_, j) => f(j));
  return {
    ids: tokens.ids, names: tokens.names, cut: tokens.cut, unseen: tokens.unseen,
    logits: [...analysis.logits], predicted: analysis.predicted, value: analysis.value,
    gradient: each((j) => [
      ...columns.map((q) => analysis.gradient(j, q)),
      ...Array.from(analysis.weights, (_, c) => analysis.weightGradient(j, c)),
    ]),
    magnitude: columns.map((q) => analysis.magnitude(q)),
    phase: each((j) => columns.map((q) => analysis.phase(j, q))),
    d_magnitude: columns.map((q) => analysis.dMagnitude(q)),
    d_phase: each((j) => columns.map((q) => analysis.dPhase(j, q))),
    magnitude_path: each((j) => columns.map((q) => analysis.magnitudePath(j, q))),
    phase_path: each((j) => columns.map((q) => analysis.phasePath(j, q))),
    gradient_norm: each((j) => analysis.gradientNorm(j)),
    gradient_times_input: each((j) => analysis.gradientTimesInput(j)),
    integrated: of ? analysis.integrate() : null,
    without: of ? each((j) => (j ? analysis.valueWithout(j) : 0)) : null,
  };
}

const requests = JSON.parse(fs.readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(requests.map(answer)));
