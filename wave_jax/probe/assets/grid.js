// A picture of rows x columns of coloured cells, described on hover, touch and arrow keys.

const GUTTER = 74; // for the rows' names
const LINE = 13; // height of a name: where rows are lower, only some are named

class Grid {
  // describe(row, column) -> text below the picture; choose(row) -> on click or Enter.
  constructor(id, describe, choose) {
    this.canvas = document.getElementById(id);
    this.output = this.canvas.parentElement.querySelector("output");
    this.describe = describe;
    this.rows = this.columns = 0;
    this.image = document.createElement("canvas");
    this.cell = null;
    // Asking for the width at each picture would have the browser lay out the whole page first.
    this.width = this.canvas.clientWidth;
    new ResizeObserver(([{ contentRect: { width } }]) => {
      if (width === this.width) return;
      this.width = width;
      this.paint();
    }).observe(this.canvas);
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
    Object.assign(this, { rows, columns, names, marked, square });
    Object.assign(this.image, { width: columns, height: rows });
    const context = this.image.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let row = 0, i = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const rgb = fill(row, column);
        for (let k = 0; k < 3; k++) image.data[i++] = rgb[k];
        image.data[i++] = 255;
      }
    }
    context.putImageData(image, 0, 0);
    this.paint();
  }

  paint() {
    if (!this.rows || !this.width) return;
    const ratio = window.devicePixelRatio || 1;
    const most = window.innerWidth > 480 ? 520 : 400; // on a phone they are one below the other
    const height = this.square ? this.width - GUTTER : Math.round(this.rows * Math.max(3, Math.min(22, most / this.rows)));
    const [wide, high] = [this.width, height].map((size) => Math.round(size * ratio));
    if (this.canvas.width !== wide) this.canvas.width = wide;
    if (this.canvas.height !== high) this.canvas.height = high;
    this.canvas.style.height = `${height}px`;
    const left = GUTTER * ratio;
    const inner = wide - left;
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, wide, high);
    // Cells smaller than a pixel are averaged; larger ones keep their edges.
    context.imageSmoothingEnabled = this.columns > inner;
    context.drawImage(this.image, left, 0, inner, high);
    const style = getComputedStyle(document.documentElement);
    const down = high / this.rows;
    const across = inner / this.columns;
    this.nameRows(context, style, ratio, down);
    context.lineWidth = 2 * ratio;
    context.strokeStyle = style.getPropertyValue("--front");
    const top = Math.max(0, this.marked * down - ratio); // around the row, which may be as thin as a line
    const bottom = Math.min(high, (this.marked + 1) * down + ratio);
    context.strokeRect(left + ratio, top, inner - 2 * ratio, bottom - top);
    if (this.cell) {
      const [row, column] = this.cell;
      context.strokeStyle = style.getPropertyValue("--focus");
      const side = Math.max(across, 5 * ratio);
      context.strokeRect(left + column * across, row * down, side, Math.max(down, 5 * ratio));
    }
  }

  nameRows(context, style, ratio, down) {
    const [line, edge] = [LINE * ratio, this.canvas.height];
    context.font = `${0.85 * line}px ${getComputedStyle(document.body).fontFamily}`;
    context.textAlign = "right";
    context.textBaseline = "middle";
    const place = (row) => Math.max(line / 2, Math.min(edge - line / 2, (row + 0.5) * down));
    const write = (row) => {
      const name = this.names[row];
      const shown = name.length > 11 ? `${name.slice(0, 10)}\u2026` : name;
      context.fillText(shown, (GUTTER - 6) * ratio, place(row), (GUTTER - 8) * ratio);
    };
    context.fillStyle = style.getPropertyValue("--front");
    write(this.marked);
    context.fillStyle = style.getPropertyValue("--soft");
    for (let row = 0, free = 0; row < this.rows; row++) {
      const y = place(row);
      if (y < free || Math.abs(y - place(this.marked)) < line) continue;
      write(row);
      free = y + line;
    }
  }

  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * this.rows);
    const x = (event.clientX - box.left - GUTTER) / (box.width - GUTTER);
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
