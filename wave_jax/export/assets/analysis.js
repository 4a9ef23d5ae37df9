// One text run forwards and backwards: what `probe_record` of wave_jax.probe holds, and the arrays
// of its page, computed when they are looked at.

class Analysis {
  // tokens: as `Network.read` returns them; those in `dropped` are as if absent. Explained is the
  // scalar `of` of the class `label`, by default of the most probable one.
  constructor(network, tokens, of, label = null) {
    this.network = network;
    this.input = tokens;
    this.of = of;
    this.columns = network.columns;
    this.kept = tokens.ids.map((_, j) => j).filter((j) => !tokens.dropped.has(j));
    this.count = this.kept.length - 1; // [CLS] is always there
    this.own = tokens.rows[0].subarray(0, this.columns);
    this.sums = this.sumSquares();
    this.rest = this.sums.others.map(Math.sqrt);
    this.weights = this.sumWeights((j) => tokens.rows[j]);
    const { logits, back } = network.head(this.own, this.rest, this.weights, this.count);
    this.logits = logits;
    this.probabilities = softmax(logits);
    this.predicted = logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
    this.label = label ?? this.predicted;
    [this.value, this.slope] = scalars[of](logits, this.label);
    // Derivatives at the first token's variants, its r, and the sum of the weights.
    [this.dOwn, this.dRest, this.dWeights] = back(this.slope);
    this.projections = this.project();
  }

  // For each column, over all tokens: the sum of squares without the largest, which token that is,
  // and its size (so that r needs no subtraction of sums); and over all but the first: the sum.
  sumSquares() {
    const { columns, kept } = this;
    const [rest, others, largest] = [0, 0, 0].map(() => new Float64Array(columns));
    const place = new Int32Array(columns).fill(-1);
    for (const j of kept) {
      const row = this.input.rows[j];
      for (let q = 0; q < columns; q++) {
        const size = Math.abs(row[q]);
        if (j > 0) others[q] += size * size;
        if (place[q] < 0 || size > largest[q]) {
          rest[q] += largest[q] ** 2;
          [largest[q], place[q]] = [size, j];
        } else rest[q] += size * size;
      }
    }
    return { rest, others, largest, place };
  }

  sumWeights(rowOf) {
    const { columns, network } = this;
    const total = new Float64Array(network.width - columns);
    for (const j of this.kept.slice(1)) {
      const row = rowOf(j);
      for (let c = 0; c < total.length; c++) total[c] += row[columns + c];
    }
    return total;
  }

  // What the tokens' own weights add to the logit of a class.
  linearPart(c) {
    return this.weights[c] * Math.max(this.count, 1) ** -0.25;
  }

  // u: a token's number in a column, 0 where the token is dropped.
  u(j, q) {
    return this.input.dropped.has(j) ? 0 : this.input.rows[j][q];
  }

  // r: the norm of the other tokens' numbers.
  r(j, q) {
    const { rest, largest, place } = this.sums;
    if (place[q] === j) return Math.sqrt(rest[q]);
    const size = Math.abs(this.u(j, q));
    return Math.sqrt((largest[q] - size) * (largest[q] + size) + rest[q]);
  }

  // G: the norm of all.
  magnitude(q) {
    return Math.sqrt(this.sums.rest[q] + this.sums.largest[q] ** 2);
  }

  phase(j, q) {
    return Math.atan2(this.r(j, q), this.u(j, q));
  }

  // The derivative of the scalar at a token's number in a column.
  gradient(j, q) {
    if (this.input.dropped.has(j)) return 0;
    if (j === 0) return this.dOwn[q];
    return this.rest[q] ? (this.dRest[q] * this.input.rows[j][q]) / this.rest[q] : 0;
  }

  // dL/dG: the magnitude changes, all phases held.
  dMagnitude(q) {
    const norm = this.magnitude(q);
    return norm ? (this.dOwn[q] * this.own[q] + this.dRest[q] * this.rest[q]) / norm : 0;
  }

  // dL/d alpha: a phase changes, G and all others held. Only the first token's wave is read.
  dPhase(j, q) {
    return j === 0 ? this.dRest[q] * this.own[q] - this.dOwn[q] * this.rest[q] : 0;
  }

  // (u . gradient) / (u . u) of each column: the share of the tokens' own direction.
  project() {
    return Float64Array.from(this.own, (_, q) => {
      const norm = this.magnitude(q);
      return norm ? this.dMagnitude(q) / norm : 0;
    });
  }

  magnitudePath(j, q) {
    return this.u(j, q) * this.projections[q];
  }

  phasePath(j, q) {
    return this.gradient(j, q) - this.magnitudePath(j, q);
  }

  // The L2 norm of some numbers of a token over all columns.
  norm(j, of) {
    let total = 0;
    for (let q = 0; q < this.columns; q++) total += of.call(this, j, q) ** 2;
    return Math.sqrt(total);
  }

  // The derivative at a token's weight for a class, in the linear path.
  weightGradient(j, c) {
    const absent = j === 0 || this.input.dropped.has(j) || !this.network.linear;
    return absent ? 0 : this.dWeights[c];
  }

  // The L2 norm of the gradient at all of a token's numbers, and its product with them.
  gradientNorm(j) {
    const { columns, network } = this;
    let total = this.norm(j, this.gradient) ** 2;
    for (let c = 0; c < network.width - columns; c++) total += this.weightGradient(j, c) ** 2;
    return Math.sqrt(total);
  }

  gradientTimesInput(j) {
    const { columns, network } = this;
    const row = this.input.rows[j];
    let total = 0;
    for (let q = 0; q < columns; q++) total += this.gradient(j, q) * row[q];
    for (let c = 0; c < network.width - columns; c++) {
      total += this.weightGradient(j, c) * row[columns + c];
    }
    return total;
  }

  // The scalar if one more token were dropped; of the same class.
  valueWithout(j) {
    const dropped = new Set(this.input.dropped).add(j);
    return new Analysis(this.network, { ...this.input, dropped }, this.of, this.label).value;
  }

  // Integrated gradients from a text of unknown words: each token's share of the scalar's change,
  // doubling the points until the shares add up, as wave_jax.probe.attribution does.
  integrate(mostEvaluations = 1024) {
    const path = this.pathFromUnknown();
    const [baseline] = path.at(0);
    let panels = 1;
    for (;;) {
      const slopes = path.slopes(panels);
      const total = path.total(slopes);
      const [error, size] = [Math.abs(total - (this.value - baseline)), Math.abs(this.value - baseline)];
      const gap = size ? error / size : error ? Infinity : 0;
      const evaluations = panels * points.length;
      if (gap < TOLERANCE || 2 * evaluations > mostEvaluations) {
        return {
          tokens: path.shares(slopes), value: this.value, baseline_value: baseline, evaluations,
          gap: Number.isFinite(gap) ? gap : null, converged: gap < TOLERANCE,
        };
      }
      panels *= 2;
    }
  }

  // The straight line to the text from [UNK] in place of all tokens but [CLS] and [SEP]. Along it
  // r^2 is a quadratic in t, so that its points cost no sums over tokens.
  pathFromUnknown() {
    const { network, columns, kept, input } = this;
    const { cls, sep, unk } = network.about.special;
    const unknown = network.embedding(unk);
    const from = (j) => ([cls, sep].includes(input.ids[j]) ? input.rows[j] : unknown);
    const quadratic = Array.from({ length: columns }, () => [0, 0, 0]);
    for (const j of kept.slice(1)) {
      const start = from(j);
      for (let q = 0; q < columns; q++) {
        const step = input.rows[j][q] - start[q];
        quadratic[q][0] += start[q] ** 2;
        quadratic[q][1] += 2 * start[q] * step;
        quadratic[q][2] += step ** 2;
      }
    }
    const ends = [this.sumWeights(from), this.sumWeights((j) => input.rows[j])];
    const at = (t) => {
      const rest = quadratic.map(([a, b, c]) => Math.sqrt(Math.max(0, a + t * (b + t * c))));
      const weights = ends[0].map((start, c) => start + t * (ends[1][c] - start));
      const { logits, back } = network.head(this.own, rest, weights, this.count);
      const [value, slope] = scalars[this.of](logits, this.label);
      return [value, () => [rest, ...back(slope)]];
    };
    // Along the path, the mean of d L / d r^2 in each column, bare and times t, and of d L / d weight.
    const slopes = (panels) => {
      const [level, along] = [new Float64Array(columns), new Float64Array(columns)];
      const linear = new Float64Array(network.width - columns);
      for (let panel = 0; panel < panels; panel++) {
        for (const [node, weight] of points) {
          const t = (panel + node) / panels;
          const [rest, , dRest, dWeights] = at(t)[1]();
          for (let q = 0; q < columns; q++) {
            const slope = rest[q] ? (weight / panels) * (dRest[q] / rest[q]) : 0;
            level[q] += slope;
            along[q] += t * slope;
          }
          for (let c = 0; c < linear.length; c++) linear[c] += (weight / panels) * dWeights[c];
        }
      }
      return { level, along, linear };
    };
    // What all shares add up to costs no sum over tokens either, so that only the last ones are made.
    const total = ({ level, along, linear }) =>
      quadratic.reduce((sum, [, b, c], q) => sum + (b / 2) * level[q] + c * along[q], 0) +
      linear.reduce((sum, slope, c) => sum + slope * (ends[1][c] - ends[0][c]), 0);
    const shares = ({ level, along, linear }) => input.ids.map((_, j) => {
      if (j === 0 || input.dropped.has(j)) return 0;
      const [start, end] = [from(j), input.rows[j]];
      let share = 0;
      for (let q = 0; q < network.width; q++) {
        const step = end[q] - start[q];
        share += step * (q < columns ? start[q] * level[q] + step * along[q] : linear[q - columns]);
      }
      return share;
    });
    return { at, slopes, total, shares };
  }
}
