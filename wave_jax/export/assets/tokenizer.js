// From a text to token ids, as wave_jax.data.tokenizer and wave_jax.data.ngrams do it: [CLS], the
// pieces, [SEP]; then the runs of words and the beginnings of words that the training met.

const BREAK = 0, BEGINS = 1, CONTINUES = 2; // a piece: of no word, a word's first, a later one

// Scrambles a 64-bit number, each salt in its own way (the end of SplitMix64).
function mix(value, salt = 0) {
  let x = wrap(value + BigInt(salt + 1) * 0x9e3779b97f4a7c15n);
  x = wrap((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n);
  x = wrap((x ^ (x >> 27n)) * 0x94d049bb133111ebn);
  return x ^ (x >> 31n);
}

class TextTokenizer {
  // about: what `wave_jax.export.web` says of the network; kept: BigUint64Array of hashes,
  // ascending, whose ids follow those of the pieces.
  constructor(about, kept) {
    const spec = about.tokenizer;
    // Special tokens typed in a text are ordinary characters, so that no text can forge them.
    const added = spec.added_tokens ?? [];
    this.library = new library.Tokenizer({ ...spec, added_tokens: added.filter((t) => !t.special) }, {});
    this.names = [];
    for (const [name, id] of this.library.get_vocab()) this.names[id] = name;
    for (const token of added) this.names[token.id] = token.content;
    this.kept = kept;
    this.about = about;
    const breaks = new Set(Object.values(about.special));
    this.kinds = Array.from(this.names, (name, id) => {
      if (name === undefined || breaks.has(id)) return BREAK;
      return name.startsWith("##") ? CONTINUES : BEGINS;
    });
    this.stems = new Map();
  }

  // The tokens: { ids, names, groups: how many words of a run, minus the letters of a beginning, or
  // 0 for a piece; cut: how many pieces were not read }. `ids` count through the n-grams kept.
  encode(text) {
    const { cls, sep } = this.about.special;
    const clean = text.replace(/\p{Cs}/gu, "\ufffd"); // half a character: no UTF-8 can hold it
    const all = clean ? this.library.encode(clean, { add_special_tokens: false }).ids : [];
    const room = this.about.max_length - 2;
    const ids = [cls, ...all.slice(0, room), sep];
    const names = ids.map((id) => this.names[id]);
    const groups = ids.map(() => 0);
    const words = this.words(ids);
    const add = (hash, name, group) => {
      const place = this.find(hash);
      if (place < 0) return;
      ids.push(this.names.length + place);
      names.push(name());
      groups.push(group);
    };
    this.addRuns(words, add);
    for (const size of this.about.stems) this.addBeginnings(words, size, add);
    return { ids, names, groups, cut: Math.max(0, all.length - room) };
  }

  // The words: { hash, letters, follows: whether there is nothing between it and the one before }.
  words(ids) {
    if (!this.kept.length) return [];
    const words = [];
    let before = BREAK;
    for (const id of ids) {
      const kind = this.kinds[id];
      if (kind === BEGINS || (kind === CONTINUES && before === BREAK)) {
        words.push({ hash: 0n, pieces: 0, letters: "", follows: before !== BREAK });
      }
      if (kind !== BREAK) {
        const word = words.at(-1);
        word.hash = wrap(word.hash + mix(BigInt(id), word.pieces++));
        word.letters += this.names[id].replace(/^##/, "");
      }
      before = kind;
    }
    for (const word of words) word.hash = mix(word.hash);
    return words;
  }

  addRuns(words, add) {
    let runs = words.map((word) => ({ total: mix(word.hash), whole: true }));
    for (let n = 2; n <= this.about.ngrams; n++) {
      runs = runs.slice(0, -1).map(({ total, whole }, i) => {
        const last = words[i + n - 1];
        return { total: wrap(total + mix(last.hash, n)), whole: whole && last.follows };
      });
      runs.forEach(({ total, whole }, i) => {
        const name = () => words.slice(i, i + n).map((word) => word.letters).join(" ");
        if (whole) add(mix(total), name, n);
      });
    }
  }

  addBeginnings(words, size, add) {
    for (const { letters } of words) {
      const characters = [...letters];
      if (characters.length <= size) continue;
      const beginning = characters.slice(0, size).join("");
      if (!this.stems.has(beginning)) {
        this.stems.set(beginning, blake2b(new TextEncoder().encode(beginning)));
      }
      add(this.stems.get(beginning), () => `${beginning}\u2026`, -size);
    }
  }

  // The place of a hash among those kept, or -1.
  find(hash) {
    let low = 0, high = this.kept.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.kept[middle] < hash) low = middle + 1;
      else high = middle;
    }
    return low < this.kept.length && this.kept[low] === hash ? low : -1;
  }
}
