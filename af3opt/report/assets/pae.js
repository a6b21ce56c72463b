// The PAE heat map: rows are the residue aligned on, columns the residue scored.

const PAE_MARGIN = { left: 58, top: 30, right: 12, bottom: 44 };

class PaePanel {
  /** `actions`: hover(pair or null), pin(pair), select(region or null); pairs are [row, column]. */
  constructor(canvas, actions) {
    this.canvas = canvas;
    this.actions = actions;
    this.cursor = null;
    this.region = null;
    this.drag = null;
    const listen = (type, listener) => canvas.addEventListener(type, listener);
    listen("pointermove", (event) => this.onMove(event));
    listen("pointerdown", (event) => this.onDown(event));
    listen("pointerup", (event) => this.onUp(event));
    listen("pointercancel", () => (this.drag = null));
    listen("pointerleave", () => this.onLeave());
    listen("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }

  show(decoded, palette) {
    this.decoded = decoded;
    this.cursor = null;
    this.recolour(palette);
  }

  recolour(palette) {
    this.palette = palette;
    const pae = this.decoded.pae;
    this.image = pae && PaePanel.render(pae, palette);
    this.draw();
  }

  /** The matrix as a picture of one pixel per cell. */
  static render(pae, palette) {
    const image = new ImageData(pae.side, pae.side);
    const colours = new Uint32Array(paeTable(palette, pae).buffer);
    const pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = colours[pae.values[i]];
    const picture = el("canvas", { width: pae.side, height: pae.side });
    picture.getContext("2d").putImageData(image, 0, 0);
    return picture;
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth;
    if (!this.decoded || !width) return;
    this.size = Math.max(80, width - PAE_MARGIN.left - PAE_MARGIN.right);
    const height = this.size + PAE_MARGIN.top + PAE_MARGIN.bottom;
    const context = prepareCanvas(this.canvas, width, height);
    if (!this.image) {
      context.fillStyle = themeColour("--muted");
      context.textAlign = "center";
      context.fillText("No PAE matrix for this sample", width / 2, height / 2);
      return;
    }
    context.imageSmoothingEnabled = this.image.width > this.size;
    context.drawImage(this.image, PAE_MARGIN.left, PAE_MARGIN.top, this.size, this.size);
    this.drawAxes(context);
    this.drawMarks(context);
  }

  drawAxes(context) {
    const { tokens } = this.decoded;
    const { left, top } = PAE_MARGIN;
    context.strokeStyle = "rgba(20, 24, 30, 0.55)";
    context.lineWidth = 1;
    context.beginPath();
    for (const { start } of tokens.segments.slice(1)) {
      const offset = Math.round(this.pixel(start)) + 0.5;
      context.moveTo(left + offset, top);
      context.lineTo(left + offset, top + this.size);
      context.moveTo(left, top + offset);
      context.lineTo(left + this.size, top + offset);
    }
    context.stroke();
    context.strokeRect(left + 0.5, top + 0.5, this.size - 1, this.size - 1);
    drawStrip(context, tokens, { x: left, y: top - STRIP - 2, length: this.size, vertical: false });
    drawStrip(context, tokens, { x: left - STRIP - 2, y: top, length: this.size, vertical: true });
    context.fillStyle = themeColour("--muted");
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const { token, label } of chainTicks(tokens, this.size, 46)) {
      context.fillText(label, left + this.pixel(token + 0.5), top + this.size + 5);
    }
    context.fillText("scored residue", left + this.size / 2, top + this.size + 24);
    context.save();
    context.translate(12, top + this.size / 2);
    context.rotate(-Math.PI / 2);
    context.textBaseline = "middle";
    context.fillText("aligned residue", 0, 0);
    context.restore();
  }

  drawMarks(context) {
    const { left, top } = PAE_MARGIN;
    if (this.region) {
      const { rows, columns } = this.region;
      const box = [this.pixel(columns[0]), this.pixel(rows[0])];
      const size = [this.pixel(columns[1] - columns[0]), this.pixel(rows[1] - rows[0])];
      context.lineWidth = 3;
      context.strokeStyle = "#ffffff";
      context.strokeRect(left + box[0], top + box[1], ...size);
      context.lineWidth = 1.5;
      context.strokeStyle = "#d01c8b";
      context.strokeRect(left + box[0], top + box[1], ...size);
    }
    if (this.cursor) {
      const [row, column] = this.cursor.map((token) => this.pixel(token + 0.5));
      context.lineWidth = 1;
      context.strokeStyle = "#d01c8b";
      context.beginPath();
      context.moveTo(left + column, top);
      context.lineTo(left + column, top + this.size);
      context.moveTo(left, top + row);
      context.lineTo(left + this.size, top + row);
      context.stroke();
    }
  }

  pixel(token) {
    return (token / this.decoded.tokens.count) * this.size;
  }

  /** Puts the cross on a pair of tokens, or takes it away. */
  point(pair) {
    this.cursor = pair;
    this.draw();
  }

  setRegion(region) {
    this.region = region;
    this.draw();
  }

  tokensAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const { count } = this.decoded.tokens;
    const token = (position) => Math.floor((position / this.size) * count);
    return [
      token(event.clientY - box.top - PAE_MARGIN.top),
      token(event.clientX - box.left - PAE_MARGIN.left),
    ];
  }

  onMove(event) {
    if (!this.image) return;
    const pair = this.tokensAt(event);
    const { count } = this.decoded.tokens;
    if (this.drag) {
      const held = pair.map((token) => Math.min(Math.max(token, 0), count - 1));
      if (held.some((token, i) => token !== this.drag[i])) this.dragged(held);
      return;
    }
    if (pair.some((token) => token < 0 || token >= count)) {
      this.onLeave();
      return;
    }
    this.point(pair);
    this.actions.hover(pair);
    showTooltip(event, describePair(this.decoded, pair));
  }

  dragged(end) {
    const span = (a, b) => [Math.min(a, b), Math.max(a, b) + 1];
    this.cursor = null;
    this.setRegion({ rows: span(this.drag[0], end[0]), columns: span(this.drag[1], end[1]) });
  }

  onDown(event) {
    if (!this.image || event.button !== 0) return;
    const pair = this.tokensAt(event);
    if (pair.some((token) => token < 0 || token >= this.decoded.tokens.count)) return;
    this.drag = pair;
    this.region = null;
    this.canvas.setPointerCapture(event.pointerId);
    hideTooltip();
  }

  onUp() {
    if (!this.drag) return;
    const start = this.drag;
    this.drag = null;
    if (this.region) this.actions.select(this.region);
    else {
      this.actions.select(null);
      this.actions.pin(start);
    }
  }

  onLeave() {
    if (this.drag) return;
    hideTooltip();
    this.point(null);
    this.actions.hover(null);
  }

  onKey(event) {
    if (!this.image) return;
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const move = moves[event.key];
    const { count } = this.decoded.tokens;
    if (move) {
      const step = event.shiftKey ? 10 : 1;
      const from = this.cursor ?? [0, 0];
      this.point(from.map((token, i) => Math.min(Math.max(token + move[i] * step, 0), count - 1)));
      this.actions.hover(this.cursor, true);
    } else if (event.key === "Enter" && this.cursor) {
      this.actions.pin(this.cursor);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

/** The value of a pair in words; says so when it is a mean over a bin. */
function describePair(decoded, [row, column]) {
  const { pae } = decoded;
  const value = pae.at(Math.floor(row / pae.binSize), Math.floor(column / pae.binSize));
  const mean = pae.binSize > 1 ? ` (mean of ${pae.binSize}×${pae.binSize})` : "";
  return `${tokenName(decoded, row)} → ${tokenName(decoded, column)}: ${fixed(value, 1)} Å${mean}`;
}

/** Mean PAE over a region, angstrom. */
function regionMean({ pae }, { rows, columns }) {
  let sum = 0;
  let count = 0;
  const bins = ([start, end]) => [Math.floor(start / pae.binSize), Math.ceil(end / pae.binSize)];
  const [top, bottom] = bins(rows);
  const [left, right] = bins(columns);
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) {
      const value = pae.at(row, column);
      if (Number.isFinite(value)) {
        sum += value;
        count++;
      }
    }
  }
  return count ? sum / count : NaN;
}

/** The legend under the map. */
function paeLegend(palette) {
  const stops = palette.pae.map((rgb) => cssRgb(rgb)).join(", ");
  return [
    el("span", {}, "0 Å"),
    el("span", { class: "ramp", style: { background: `linear-gradient(90deg, ${stops})` } }),
    el("span", {}, "31.75 Å expected position error"),
  ];
}
