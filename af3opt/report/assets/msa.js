// Coverage of the alignments, as ColabFold draws it: rows sorted by identity to the query,
// the most alike on top, and a line for how many rows cover each position.

const MSA_MARGIN = { left: 56, right: 14, top: 12, bottom: 42 };
const MSA_HEIGHT = 250;

async function decodeAlignment(packed) {
  return {
    ...packed,
    identity: await inflate(packed.identity),
    covered: await inflate(packed.covered),
    depth: await int32(packed.depth),
  };
}

class AlignmentPanel {
  /** `actions`: hover(chain or null, position), say(text). Positions count from 0. */
  constructor(canvas, alignment, actions) {
    this.canvas = canvas;
    this.alignment = alignment;
    this.actions = actions;
    this.cursor = null;
    canvas.addEventListener("pointermove", (event) => this.onMove(event));
    canvas.addEventListener("pointerleave", () => this.point(null));
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }

  recolour(palette) {
    this.image = AlignmentPanel.render(this.alignment, palette);
    this.draw();
  }

  /** A pixel for each cell: its colour is the rows' identity, its opacity their share there. */
  static render({ bins, covered, identity, steps }, palette) {
    const columns = covered.length / bins;
    const image = new ImageData(columns, bins);
    for (let bin = 0; bin < bins; bin++) {
      const rgb = interpolate(palette.identity, identity[bin] / 100);
      for (let i = bin * columns; i < (bin + 1) * columns; i++) {
        image.data.set([...rgb, (255 * covered[i]) / steps], 4 * i);
      }
    }
    const picture = el("canvas", { width: columns, height: bins });
    picture.getContext("2d").putImageData(image, 0, 0);
    return picture;
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth;
    if (!this.image || !width) return;
    const { left, right, top, bottom } = MSA_MARGIN;
    this.context = prepareCanvas(this.canvas, width, MSA_HEIGHT);
    this.length = Math.max(60, width - left - right);
    this.depth = MSA_HEIGHT - top - bottom;
    const { residues, column_width: columnWidth } = this.alignment;
    const drawn = (this.length * this.image.width * columnWidth) / residues; // the last column may be cut
    this.context.save();
    this.context.beginPath();
    this.context.rect(left, top, this.length, this.depth);
    this.context.clip();
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(this.image, left, top, drawn, this.depth);
    this.context.restore();
    this.drawAxes();
    this.drawLine();
    if (this.cursor !== null) this.drawCursor();
  }

  drawAxes() {
    const { context, alignment: { rows, residues } } = this;
    const { left, top } = MSA_MARGIN;
    const base = top + this.depth;
    context.strokeStyle = themeColour("--faint");
    context.lineWidth = 1;
    context.strokeRect(left + 0.5, top + 0.5, this.length - 1, this.depth - 1);
    context.fillStyle = themeColour("--muted");
    context.textAlign = "right";
    context.textBaseline = "middle";
    const rowStep = tickStep(rows, this.depth, 40);
    for (let row = 0; row <= rows; row += rowStep) context.fillText(String(row), left - 6, this.y(row));
    context.textAlign = "center";
    context.textBaseline = "top";
    const step = tickStep(residues, this.length, 46);
    for (let number = step; number <= residues; number += step) {
      context.fillText(String(number), this.x(number - 1), base + 5);
    }
    context.fillText("residue", left + this.length / 2, base + 23);
    context.save();
    context.translate(10, top + this.depth / 2);
    context.rotate(-Math.PI / 2);
    context.textBaseline = "middle";
    context.fillText("rows", 0, 0);
    context.restore();
  }

  /** The number of rows at each position; steps, so that a single residue shows. */
  drawLine() {
    const { context, alignment: { depth, residues } } = this;
    context.lineJoin = "round";
    for (const [colour, width] of [[themeColour("--card"), 3.5], [themeColour("--ink"), 1.6]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      for (let position = 0; position < residues; position++) {
        const half = this.length / residues / 2;
        context.lineTo(this.x(position) - half, this.y(depth[position]));
        context.lineTo(this.x(position) + half, this.y(depth[position]));
      }
      context.stroke();
    }
  }

  drawCursor() {
    const x = Math.round(this.x(this.cursor)) + 0.5;
    this.context.strokeStyle = "#d01c8b";
    this.context.lineWidth = 1;
    this.context.beginPath();
    this.context.moveTo(x, MSA_MARGIN.top);
    this.context.lineTo(x, MSA_MARGIN.top + this.depth);
    this.context.stroke();
  }

  x(position) {
    return MSA_MARGIN.left + ((position + 0.5) / this.alignment.residues) * this.length;
  }

  y(rows) {
    return MSA_MARGIN.top + (1 - rows / this.alignment.rows) * this.depth;
  }

  /** Marks a position, or none. */
  point(position) {
    this.cursor = position;
    if (position === null) hideTooltip();
    this.draw();
    this.actions.hover(position === null ? null : this.alignment.chains[0], position);
  }

  describe(position) {
    const { chains, depth, rows } = this.alignment;
    return `${chains.join(", ")} residue ${position + 1}: ${depth[position]} of ${rows} rows`;
  }

  onMove(event) {
    const box = this.canvas.getBoundingClientRect();
    const share = (event.clientX - box.left - MSA_MARGIN.left) / this.length;
    const position = Math.floor(share * this.alignment.residues);
    if (position < 0 || position >= this.alignment.residues) {
      this.point(null);
      return;
    }
    this.point(position);
    showTooltip(event, this.describe(position));
  }

  onKey(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move) return;
    const step = move * (event.shiftKey ? 10 : 1);
    const last = this.alignment.residues - 1;
    this.point(Math.min(Math.max((this.cursor ?? -1) + step, 0), last));
    this.actions.say(this.describe(this.cursor));
    event.preventDefault();
    event.stopPropagation();
  }
}

const alignmentPanels = [];

function alignmentCaption({ chains, rows, unfit }) {
  const names = `Chain${chains.length > 1 ? "s" : ""} ${chains.join(", ")}`;
  const left = unfit ? `; ${unfit} with another number of columns left out` : "";
  return [el("b", {}, names), ` ${rows.toLocaleString("en")} different rows${left}`];
}

function identityLegend(palette) {
  const stops = palette.identity.map((rgb) => cssRgb(rgb)).join(", ");
  return [
    el("span", {}, "0 %"),
    el("span", { class: "ramp", style: { background: `linear-gradient(90deg, ${stops})` } }),
    el("span", {}, "100 % identity to the query"),
  ];
}

function recolourAlignments(palette) {
  fill("msa-legend", identityLegend(palette));
  for (const panel of alignmentPanels) panel.recolour(palette);
}

/** Makes a panel for each alignment of the job; `actions` as for `AlignmentPanel`. */
async function showAlignments(actions) {
  byId("msa-card").hidden = DATA.alignments.length === 0;
  for (const packed of DATA.alignments) {
    const label = `Alignment coverage of ${packed.chains.join(", ")}. Arrow keys move, Shift moves by ten.`;
    const canvas = el("canvas", { tabindex: 0, role: "application", "aria-label": label });
    byId("alignments").append(el("figure", {},
      el("figcaption", {}, alignmentCaption(packed)), el("div", { class: "plot" }, canvas)));
    alignmentPanels.push(new AlignmentPanel(canvas, await decodeAlignment(packed), actions));
  }
  onThemeChange(() => alignmentPanels.forEach((panel) => panel.draw()));
}
