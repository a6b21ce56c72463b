// pLDDT along the tokens: the chosen sample as a line, the others behind it.

const PLDDT_MARGIN = { left: 40, right: 12, top: 30, bottom: 26 };
const PLDDT_HEIGHT = 240;

class PlddtPanel {
  /** `actions`: hover(token or null), pin(token). */
  constructor(canvas, actions) {
    this.canvas = canvas;
    this.actions = actions;
    this.cursor = null;
    this.others = [];
    canvas.addEventListener("pointermove", (event) => this.onMove(event));
    canvas.addEventListener("pointerleave", () => this.onLeave());
    canvas.addEventListener("click", (event) => this.onClick(event));
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }

  show(decoded, palette) {
    this.decoded = decoded;
    this.palette = palette;
    this.cursor = null;
    this.draw();
  }

  recolour(palette) {
    this.palette = palette;
    this.draw();
  }

  /** Values of the other samples over the same tokens. */
  compareWith(others) {
    this.others = others;
    this.draw();
  }

  get usable() {
    return Boolean(this.decoded && this.decoded.tokenPlddt);
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth;
    if (!this.decoded || !width) return;
    const context = prepareCanvas(this.canvas, width, PLDDT_HEIGHT);
    this.length = width - PLDDT_MARGIN.left - PLDDT_MARGIN.right;
    this.depth = PLDDT_HEIGHT - PLDDT_MARGIN.top - PLDDT_MARGIN.bottom;
    if (!this.usable) {
      context.fillStyle = themeColour("--muted");
      context.textAlign = "center";
      context.fillText("No pLDDT for this sample", width / 2, PLDDT_HEIGHT / 2);
      return;
    }
    this.drawBackground(context);
    context.save();
    context.beginPath();
    context.rect(PLDDT_MARGIN.left, PLDDT_MARGIN.top - 2, this.length, this.depth + 4);
    context.clip();
    for (const values of this.others) this.drawLine(context, values, themeColour("--faint"), 1);
    this.drawLine(context, this.decoded.tokenPlddt, themeColour("--ink"), 1.6);
    this.drawPoints(context);
    context.restore();
    if (this.cursor !== null) this.drawCursor(context);
  }

  drawBackground(context) {
    const { left, top } = PLDDT_MARGIN;
    let upper = 100;
    BANDS.forEach(({ limit }, i) => {
      const lower = Math.max(limit, 0);
      context.globalAlpha = 0.13;
      context.fillStyle = this.palette.bands[i];
      context.fillRect(left, this.y(upper), this.length, this.y(lower) - this.y(upper));
      context.globalAlpha = 1;
      upper = lower;
    });
    const { tokens } = this.decoded;
    drawStrip(context, tokens, { x: left, y: top - STRIP - 2, length: this.length, vertical: false });
    context.fillStyle = themeColour("--muted");
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const value of [0, 50, 70, 90, 100]) context.fillText(String(value), left - 6, this.y(value));
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const { token, label } of chainTicks(tokens, this.length, 52)) {
      context.fillText(label, this.x(token), PLDDT_HEIGHT - PLDDT_MARGIN.bottom + 7);
    }
    context.strokeStyle = themeColour("--line");
    context.beginPath();
    for (const { start } of tokens.segments.slice(1)) {
      const x = Math.round(left + (start / tokens.count) * this.length) + 0.5;
      context.moveTo(x, top);
      context.lineTo(x, top + this.depth);
    }
    context.stroke();
  }

  drawLine(context, values, colour, width) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.lineJoin = "round";
    context.beginPath();
    for (const { start, end } of this.decoded.tokens.segments) {
      let open = false;
      for (let token = start; token < end; token++) {
        const value = values[token];
        if (Number.isFinite(value)) {
          if (open) context.lineTo(this.x(token), this.y(value));
          else context.moveTo(this.x(token), this.y(value));
        }
        open = Number.isFinite(value);
      }
    }
    context.stroke();
  }

  /** A dot per token where there is room, so that lone ions and band colours show. */
  drawPoints(context) {
    const { tokens, tokenPlddt } = this.decoded;
    const spacing = this.length / tokens.count;
    const radius = Math.min(3.2, Math.max(1.2, spacing * 0.42));
    for (let token = 0; token < tokens.count; token++) {
      if (!Number.isFinite(tokenPlddt[token])) continue;
      context.fillStyle = plddtColour(tokenPlddt[token], this.palette);
      context.beginPath();
      context.arc(this.x(token), this.y(tokenPlddt[token]), radius, 0, 2 * Math.PI);
      context.fill();
    }
  }

  drawCursor(context) {
    const x = Math.round(this.x(this.cursor)) + 0.5;
    context.strokeStyle = "#d01c8b";
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, PLDDT_MARGIN.top);
    context.lineTo(x, PLDDT_MARGIN.top + this.depth);
    context.stroke();
  }

  x(token) {
    return PLDDT_MARGIN.left + ((token + 0.5) / this.decoded.tokens.count) * this.length;
  }

  y(value) {
    return PLDDT_MARGIN.top + (1 - value / 100) * this.depth;
  }

  point(token) {
    this.cursor = token;
    this.draw();
  }

  tokenAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const position = (event.clientX - box.left - PLDDT_MARGIN.left) / this.length;
    const token = Math.floor(position * this.decoded.tokens.count);
    return token >= 0 && token < this.decoded.tokens.count ? token : null;
  }

  onMove(event) {
    if (!this.usable) return;
    const token = this.tokenAt(event);
    if (token === null) {
      this.onLeave();
      return;
    }
    this.point(token);
    this.actions.hover(token);
    showTooltip(event, describeToken(this.decoded, token));
  }

  onLeave() {
    hideTooltip();
    this.point(null);
    this.actions.hover(null);
  }

  onClick(event) {
    const token = this.usable ? this.tokenAt(event) : null;
    if (token !== null) this.actions.pin(token);
  }

  onKey(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!this.usable || (!move && event.key !== "Enter")) return;
    const last = this.decoded.tokens.count - 1;
    if (move) {
      const step = move * (event.shiftKey ? 10 : 1);
      this.point(Math.min(Math.max((this.cursor ?? -1) + step, 0), last));
      this.actions.hover(this.cursor, true);
    } else if (this.cursor !== null) {
      this.actions.pin(this.cursor);
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

function describeToken(decoded, token) {
  return `${tokenName(decoded, token)}: pLDDT ${fixed(decoded.tokenPlddt?.[token], 1)}`;
}
