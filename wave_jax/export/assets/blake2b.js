// BLAKE2b (RFC 7693) of a few letters, to 8 bytes, personalised "stem": as Python's hashlib.

const BITS = 64;
const wrap = (x) => BigInt.asUintN(BITS, x);
const rotate = (x, by) => wrap((x >> by) | (x << (64n - by)));

const START = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
];
const ORDERS = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];
const LANES = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
];
const STEM = 0x6d657473n; // "stem", little-endian
const BLOCK = 128; // bytes

// The hash of a Uint8Array, as a 64-bit BigInt.
function blake2b(bytes) {
  const h = [...START];
  h[0] ^= 0x01010008n; // no key, 8 bytes
  h[6] ^= STEM;
  const blocks = Math.max(1, Math.ceil(bytes.length / BLOCK));
  for (let b = 0; b < blocks; b++) {
    const padded = new Uint8Array(BLOCK);
    padded.set(bytes.subarray(b * BLOCK, (b + 1) * BLOCK));
    compress(h, padded, Math.min(bytes.length, (b + 1) * BLOCK), b === blocks - 1);
  }
  return h[0];
}

function compress(h, bytes, count, last) {
  const view = new DataView(bytes.buffer);
  const m = Array.from({ length: 16 }, (_, i) => view.getBigUint64(8 * i, true));
  const v = [...h, ...START];
  v[12] ^= BigInt(count);
  if (last) v[14] = wrap(~v[14]);
  for (let round = 0; round < 12; round++) {
    const order = ORDERS[round % 10];
    LANES.forEach(([a, b, c, d], i) => {
      v[a] = wrap(v[a] + v[b] + m[order[2 * i]]);
      v[d] = rotate(v[d] ^ v[a], 32n);
      v[c] = wrap(v[c] + v[d]);
      v[b] = rotate(v[b] ^ v[c], 24n);
      v[a] = wrap(v[a] + v[b] + m[order[2 * i + 1]]);
      v[d] = rotate(v[d] ^ v[a], 16n);
      v[c] = wrap(v[c] + v[d]);
      v[b] = rotate(v[b] ^ v[c], 63n);
    });
  }
  for (let i = 0; i < 8; i++) h[i] ^= v[i] ^ v[i + 8];
}
