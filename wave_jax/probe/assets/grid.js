// A picture of rows x columns of coloured cells, described on hover, touch and arrow keys.

const GUTTER = 74; // for the rows' names, where rows are high enough to be read
const READABLE = 10;

class Grid {
  // describe(row, column) -> text below the picture; choose(row) -> on click or Enter.
  constructor(id, describe, choose) {
    this.canvas = document.getElementById(id);
    this.output = this.canvas.parentElement.querySelector("output");
    this.describe = describe;
    this.rows = this.columns = this.gutter = 0;
    this.cell = null;
    this.canvas.addEventListener("pointermove", (e) => this.point(this.under(e)));
    this.canvas.addEventListener("pointerleave", () => this.point(null));
    this.canvas.addEventListener("click", (e) => {
      this.point(this.under(e));
      choose(this.cell[0]);
    });
    this.canvas.addEventListener("focus", () => this.point(this.cell || [0, 0]));
    this.canvas.addEventListener("keydown", (e) => this.key(e, choose));
  }

  // fill(row, column) -> [red, green, blue]; names: of the rows; marked: the chosen row.
  draw({ rows, columns, fill, names, marked, square = false }) {
    Object.assign(this, { rows, columns, names, marked });
    const small = document.createElement("canvas");
    small.width = columns;
    small.height = rows;
    const context = small.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let row = 0, i = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        image.data.set(fill(row, column), i);
        image.data[i + 3] = 255;
        i += 4;
      }
    }
    context.putImageData(image, 0, 0);
    this.image = small;
    const height = Math.max(4, Math.min(22, 520 / rows));
    if (square) this.canvas.style.aspectRatio = "1 / 1";
    else this.canvas.style.height = `${Math.round(height * rows)}px`;
    this.paint();
  }

  paint() {
    if (!this.image) return;
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = this.canvas.getBoundingClientRect();
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.max(1, Math.round(height * ratio));
    this.gutter = height / this.rows >= READABLE ? GUTTER : 0;
    const left = this.gutter * ratio;
    const inner = this.canvas.width - left;
    const context = this.canvas.getContext("2d");
    // Cells smaller than a pixel are averaged; larger ones keep their edges.
    context.imageSmoothingEnabled = this.columns > inner;
    context.drawImage(this.image, left, 0, inner, this.canvas.height);
    const style = getComputedStyle(document.documentElement);
    const down = this.canvas.height / this.rows;
    const across = inner / this.columns;
    if (left) this.nameRows(context, style, ratio, down);
    context.lineWidth = 2 * ratio;
    context.strokeStyle = style.getPropertyValue("--front");
    context.strokeRect(left + ratio, this.marked * down, inner - 2 * ratio, down);
    if (this.cell) {
      const [row, column] = this.cell;
      context.strokeStyle = style.getPropertyValue("--focus");
      const side = Math.max(across, 5 * ratio);
      context.strokeRect(left + column * across, row * down, side, Math.max(down, 5 * ratio));
    }
  }

  nameRows(context, style, ratio, down) {
    context.font = `${Math.min(12 * ratio, 0.8 * down)}px ${getComputedStyle(document.body).fontFamily}`;
    context.textAlign = "right";
    context.textBaseline = "middle";
    this.names.forEach((name, row) => {
      const chosen = row === this.marked;
      context.fillStyle = style.getPropertyValue(chosen ? "--front" : "--soft");
      const shown = name.length > 11 ? `${name.slice(0, 10)}\u2026` : name;
      context.fillText(shown, (GUTTER - 6) * ratio, (row + 0.5) * down, (GUTTER - 8) * ratio);
    });
  }

  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * this.rows);
    const x = (event.clientX - box.left - this.gutter) / (box.width - this.gutter);
    const column = Math.floor(x * this.columns);
    return this.inside(row, column);
  }

  inside(row, column) {
    return [
      Math.min(this.rows - 1, Math.max(0, row)),
      Math.min(this.columns - 1, Math.max(0, column)),
    ];
  }

  point(cell) {
    if (cell === null && document.activeElement === this.canvas) return;
    this.cell = cell && this.inside(...cell);
    this.output.textContent = this.cell ? this.describe(...this.cell) : "";
    this.paint();
  }

  key(event, choose) {
    const [row, column] = this.cell || [0, 0];
    const moves = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      Home: [row, 0], End: [row, this.columns - 1],
    };
    if (event.key === "Enter" || event.key === " ") choose(row);
    else if (moves[event.key]) this.point(moves[event.key]);
    else return;
    event.preventDefault();
  }
}
