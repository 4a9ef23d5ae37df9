// Arrays, decoded when they are first looked at, and the waves and numbers made of them.

// Arrays of 16-bit floats or integers, as { rows, columns, at(row, column), largest }.
function decode(packed) {
  if (packed.values) return packed.values;
  const bytes = Uint8Array.from(atob(packed.data), (c) => c.charCodeAt(0));
  const words = new Uint16Array(bytes.buffer);
  const read = packed.kind === "float" ? halfFloat : (word) => word;
  const numbers = Float32Array.from(words, (word) => read(word) * packed.scale);
  const { rows, columns } = packed;
  packed.values = {
    rows, columns,
    largest: numbers.reduce((top, x) => Math.max(top, Math.abs(x)), 0),
    // One row stands for all where every token has the same (the magnitude of a whole text).
    at: (row, column) => numbers[(rows === 1 ? 0 : row) * columns + column],
  };
  return packed.values;
}

function halfFloat(word) {
  const sign = word & 0x8000 ? -1 : 1;
  const exponent = (word >> 10) & 31;
  const fraction = word & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

// The wave of one variant, and of both superposed, at a token and a column (place in the order).
function wave(layer, variant, token, column) {
  const parts = layer.variants[variant];
  const magnitude = decode(parts.magnitude).at(token, column);
  const phase = decode(parts.phase).at(token, column);
  return polar(magnitude * Math.cos(phase), magnitude * Math.sin(phase));
}

function superposed(layer, operation, token, column) {
  const a = wave(layer, 0, token, column);
  const b = wave(layer, 1, token, column);
  if (operation === "interference") return polar(a.real + b.real, a.imag + b.imag);
  if (operation === "modulation") {
    return polar(a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real);
  }
  throw new Error(`no picture of the operation ${operation}`);
}

function polar(real, imag) {
  return { real, imag, magnitude: Math.hypot(real, imag), phase: Math.atan2(imag, real) };
}

function number(x, sign = false) {
  if (x === null || !Number.isFinite(x)) return "unbounded";
  const size = Math.abs(x);
  const shown = size !== 0 && (size < 1e-3 || size >= 1e5) ? x.toExponential(2) : x.toPrecision(3);
  return (sign && x > 0 ? "+" : "") + shown.replace("-", "\u2212");
}

// "1 token", "2,000 tokens".
const counted = (n, noun, plural = `${noun}s`) => `${n.toLocaleString("en")} ${n === 1 ? noun : plural}`;
