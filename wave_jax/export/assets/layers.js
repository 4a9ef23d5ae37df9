// The steps from two waves to logits. Each returns its value and a function that takes the
// derivative of some number at the value back to the derivative at the input (reverse mode). They
// run hundreds of times a keystroke: hence loops, where `Float64Array.from` is several times slower.

// x W + b, with W row by row: [inputs, outputs].
function dense(x, { kernel, bias }) {
  const outputs = bias.length;
  const y = new Float64Array(bias);
  for (let i = 0; i < x.length; i++) {
    for (let j = 0; j < outputs; j++) y[j] += x[i] * kernel[i * outputs + j];
  }
  const back = (dy) => {
    const dx = new Float64Array(x.length);
    for (let i = 0; i < x.length; i++) {
      for (let j = 0; j < outputs; j++) dx[i] += kernel[i * outputs + j] * dy[j];
    }
    return dx;
  };
  return [y, back];
}

const mean = (x) => x.reduce((total, value) => total + value, 0) / x.length;

function layerNorm(x, { scale, bias }) {
  const centre = mean(x);
  const deviation = Math.sqrt(mean(x.map((value) => (value - centre) ** 2)) + 1e-6);
  const unit = x.map((value) => (value - centre) / deviation);
  const y = unit.map((value, i) => value * scale[i] + bias[i]);
  const back = (dy) => {
    const d = dy.map((value, i) => value * scale[i]);
    const [level, along] = [mean(d), mean(d.map((value, i) => value * unit[i]))];
    return d.map((value, i) => (value - level - unit[i] * along) / deviation);
  };
  return [y, back];
}

// The error function by its series of positive terms, in which nothing cancels.
function erf(x) {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  let term = size, total = size;
  for (let n = 1; term > 1e-17 * total; n++) {
    term *= (2 * size * size) / (2 * n + 1);
    total += term;
  }
  return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * Math.exp(-size * size) * total;
}

// Each activation: [value, derivative].
const activations = {
  relu: (x) => (x > 0 ? [x, 1] : [0, 0]),
  tanh: (x) => [Math.tanh(x), 1 - Math.tanh(x) ** 2],
  gelu: (x) => {
    const below = 0.5 * (1 + erf(x / Math.SQRT2));
    return [x * below, below + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI)];
  },
};

function activate(x, name) {
  const pairs = Array.from(x, activations[name]);
  const back = (dy) => dy.map((value, i) => value * pairs[i][1]);
  return [Float64Array.from(pairs, ([value]) => value), back];
}

// Two waves a + i r and b + i s, superposed: real and imaginary part, and their derivatives.
const operations = {
  interference: {
    join: (a, r, b, s) => [a + b, r + s],
    back: (a, r, b, s, p, q) => [p, q, p, q],
  },
  modulation: {
    join: (a, r, b, s) => [a * b - r * s, a * s + r * b],
    back: (a, r, b, s, p, q) => [p * b + q * s, q * b - p * s, p * a + q * r, q * a - p * r],
  },
};

// How a wave is read as one number, and the derivatives at its two parts (0 where the wave is 0).
const readouts = {
  real: { read: (re) => re, back: () => [1, 0] },
  imag: { read: (re, im) => im, back: () => [0, 1] },
  magnitude: {
    read: (re, im) => Math.hypot(re, im),
    back: (re, im) => { const m = Math.hypot(re, im); return m ? [re / m, im / m] : [0, 0]; },
  },
  phase: {
    read: (re, im) => Math.atan2(im, re),
    back: (re, im) => { const s = re * re + im * im; return s ? [-im / s, re / s] : [0, 0]; },
  },
};

// The two waves of one token, own + i rest [2 d] each (one variant after the other), superposed by
// `op` and read as `kind`; back gives [d at own, d at rest].
function superposeAndRead(own, rest, op, kind) {
  const d = own.length / 2;
  const { join, back: part } = operations[op];
  const { read, back: partOfRead } = readouts[kind];
  const [x, re, im] = [new Float64Array(d), new Float64Array(d), new Float64Array(d)];
  for (let k = 0; k < d; k++) {
    [re[k], im[k]] = join(own[k], rest[k], own[d + k], rest[d + k]);
    x[k] = read(re[k], im[k]);
  }
  const back = (dx) => {
    const [dOwn, dRest] = [new Float64Array(2 * d), new Float64Array(2 * d)];
    for (let k = 0; k < d; k++) {
      const [p, q] = partOfRead(re[k], im[k]);
      const found = part(own[k], rest[k], own[d + k], rest[d + k], p * dx[k], q * dx[k]);
      [dOwn[k], dRest[k], dOwn[d + k], dRest[d + k]] = found;
    }
    return [dOwn, dRest];
  };
  return [x, back];
}
