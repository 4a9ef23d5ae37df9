// The network: its parameters, its logits, and what each token does to them.

// 8 points of Gauss and Legendre on [0, 1], with their weights.
const NODES = [-0.9602898564975363, -0.7966664774136267, -0.525532409916329, -0.18343464249564984];
const WEIGHTS = [0.10122853629037638, 0.22238103445337445, 0.31370664587788727, 0.36268378337836193];
const points = [...NODES, ...NODES.map((x) => -x)].map((x, i) => [(x + 1) / 2, WEIGHTS[i % 4] / 2]);
const TOLERANCE = 0.01; // relative gap of integrated gradients

const kinds = {
  I8: Int8Array, I32: Int32Array, F32: Float32Array, U64: BigUint64Array,
};

// Opens what the page holds: a safetensors file, compressed, in base64.
async function open(base64) {
  const packed = Uint8Array.from(atob(base64.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const start = 8 + Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, start - 8)));
  const { __metadata__: metadata, ...tensors } = header;
  const arrays = {};
  for (const [name, { dtype, data_offsets: [from, to] }] of Object.entries(tensors)) {
    const Kind = kinds[dtype];
    arrays[name] = new Kind(buffer, start + from, (to - from) / Kind.BYTES_PER_ELEMENT);
  }
  return new Network(JSON.parse(metadata.page), arrays);
}

class Network {
  constructor(about, arrays) {
    this.about = about;
    this.arrays = arrays;
    this.tokenizer = new TextTokenizer(about, arrays.ngrams ?? new BigUint64Array());
    this.columns = 2 * about.dim; // of both variants
    this.classes = about.labels.length;
    this.linear = "weights" in arrays; // a path from tokens to logits beside the waves
    this.width = this.columns + (this.linear ? this.classes : 0);
    this.pieceRows = arrays.rows.reduce((top, row) => Math.max(top, row + 1), 0);
  }

  // The dense layer or norm of a name, [kernel, bias] or [scale, bias].
  part(name) {
    const get = (leaf) => this.arrays[`${name}/${leaf}`];
    return { kernel: get("kernel"), scale: get("scale"), bias: get("bias") };
  }

  // The row of the table of a token id; -1 if the training never met the token.
  row(id) {
    const { rows } = this.arrays;
    return id < rows.length ? rows[id] : this.pieceRows + id - rows.length;
  }

  // Both variants of a token, and its weights: Float64Array [width].
  embedding(id) {
    const found = new Float64Array(this.width);
    const row = this.row(id);
    if (row < 0) return found;
    let at = 0;
    for (const name of this.linear ? ["variants", "weights"] : ["variants"]) {
      const [numbers, scales] = [this.arrays[name], this.arrays[`${name}_scale`]];
      const [size, each] = name === "variants" ? [this.columns, 2] : [this.classes, 1];
      for (let k = 0; k < size; k++) {
        const scale = scales[each * row + Math.floor((each * k) / size)];
        found[at++] = Math.fround(numbers[row * size + k] * scale);
      }
    }
    return found;
  }

  vocabularySize() {
    return this.arrays.variants.length / this.columns;
  }

  // Multiplications of the head, forwards.
  headWork() {
    const kernels = Object.entries(this.arrays).filter(([name]) => name.endsWith("kernel"));
    return kernels.reduce((total, [, kernel]) => total + kernel.length, 10 * this.columns);
  }

  // A text as tokens with their embeddings, which may be changed: see `Analysis`.
  read(text) {
    const tokens = this.tokenizer.encode(text);
    const rows = tokens.ids.map((id) => this.embedding(id));
    const unseen = tokens.ids.map((id) => this.row(id) < 0);
    return { ...tokens, rows, unseen, dropped: new Set() };
  }

  // The logits from the first token's variants, the norm of the others' [2 d] each, and the sum of
  // the others' weights, `count` many; back gives [d at own, d at rest, d at the sum].
  head(own, rest, weights, count) {
    const { readouts: reads, norms, activation } = this.about;
    const waves = reads.map(([op, kind]) => superposeAndRead(own, rest, op, kind));
    const normed = waves.map(([x], i) =>
      norms === 2 ? layerNorm(x, this.part(`layer_0/norm_in_${i}`)) : [x, (dy) => dy]);
    const shares = reads.length > 1 ? softmax(this.arrays["layer_0/mix"]) : [1];
    const x = normed[0][0].map((_, k) => normed.reduce((t, [y], i) => t + shares[i] * y[k], 0));
    const steps = [];
    const apply = ([y, back]) => { steps.push(back); return y; };
    let y = x;
    if (norms) {
      y = apply(dense(y, this.part("layer_0/ffn_in")));
      y = apply(activate(y, activation));
      y = apply(dense(y, this.part("layer_0/ffn_out")));
      y = apply(layerNorm(y, this.part("layer_0/norm_out")));
    }
    const logits = apply(dense(y, this.part("classifier")));
    const share = Math.max(count, 1) ** -0.25;
    if (this.linear) logits.forEach((_, c) => { logits[c] += weights[c] * share; });
    const back = (dLogits) => {
      const dx = steps.reduceRight((dy, step) => step(dy), dLogits);
      const dOwn = new Float64Array(own.length), dRest = new Float64Array(own.length);
      waves.forEach(([, backWave], i) => {
        const [a, r] = backWave(normed[i][1](dx.map((value) => value * shares[i])));
        a.forEach((value, k) => { dOwn[k] += value; dRest[k] += r[k]; });
      });
      return [dOwn, dRest, dLogits.map((value) => value * share)];
    };
    return { logits, back };
  }
}

function softmax(logits) {
  const top = logits.reduce((a, b) => Math.max(a, b));
  const shares = Float64Array.from(logits, (x) => Math.exp(x - top));
  const total = shares.reduce((a, b) => a + b);
  return shares.map((x) => x / total);
}

// What can be differentiated, for a class: [value, derivative at the logits].
const scalars = {
  logit: (logits, label) => [logits[label], logits.map((_, c) => Number(c === label))],
  margin: (logits, label) => {
    const others = logits.map((x, c) => (c === label ? -Infinity : x));
    const best = others.indexOf(others.reduce((a, b) => Math.max(a, b)));
    const slope = logits.map((_, c) => Number(c === label) - Number(c === best));
    return [logits[label] - logits[best], slope];
  },
  loss: (logits, label) => {
    const shares = softmax(logits);
    const top = logits.reduce((a, b) => Math.max(a, b));
    const total = logits.reduce((sum, x) => sum + Math.exp(x - top), 0);
    return [Math.log(total) + top - logits[label], shares.map((p, c) => p - Number(c === label))];
  },
};
