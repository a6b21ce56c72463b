// Two scores of all jobs as a plot: one point a job.

const SCATTER_MARGIN = { left: 46, right: 12, top: 10, bottom: 40 };
const SCATTER_HEIGHT = 250;
const REACH = 12;

/** A round step that cuts a range into at most `most` parts. */
function roundStep(range, most) {
  const least = range / most || 1;
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * 0.999);
}

class Scatter {
  /** `actions`: choose(job), say(text). */
  constructor(canvas, actions) {
    this.canvas = canvas;
    this.actions = actions;
    this.points = [];
    this.cursor = null;
    this.chosen = null;
    canvas.addEventListener("pointermove", (event) => this.onMove(event));
    canvas.addEventListener("pointerleave", () => this.point(null));
    canvas.addEventListener("click", () => this.cursor && this.actions.choose(this.cursor.job));
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }

  /** Shows jobs; those of `all` that are not among them are drawn faintly. */
  show(jobs, all, x, y) {
    Object.assign(this, { x, y, cursor: null });
    const shown = new Set(jobs);
    const known = all.filter((job) => isNumber(job[x.key]) && isNumber(job[y.key]));
    this.range = [x, y].map((score) => Scatter.range(known.map((job) => job[score.key]), score));
    this.points = known.map((job) => ({ job, faint: !shown.has(job) }))
      .sort((a, b) => b.faint - a.faint || a.job[x.key] - b.job[x.key] || a.job[y.key] - b.job[y.key]);
    this.draw();
  }

  mark(job) {
    this.chosen = job;
    this.draw();
  }

  static range(values, { bar }) {
    const low = values.reduce((a, b) => Math.min(a, b), bar ? 0 : Infinity);
    const high = values.reduce((a, b) => Math.max(a, b), bar ?? -Infinity);
    if (!(high > low)) return [low - 1, low + 1];
    return bar ? [low, high] : [low - 0.05 * (high - low), high + 0.05 * (high - low)];
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth;
    if (!this.x || !width) return;
    const { left, right, top, bottom } = SCATTER_MARGIN;
    const context = prepareCanvas(this.canvas, width, SCATTER_HEIGHT);
    this.size = [Math.max(60, width - left - right), SCATTER_HEIGHT - top - bottom];
    if (!this.points.length) {
      context.fillStyle = themeColour("--muted");
      context.textAlign = "center";
      context.fillText("No job has both scores", width / 2, SCATTER_HEIGHT / 2);
      return;
    }
    this.drawGreyZone(context);
    this.drawAxes(context);
    for (const point of this.points) this.drawPoint(context, point);
    for (const marked of [this.chosen, this.cursor?.job]) {
      const point = marked && this.points.find(({ job }) => job === marked);
      if (point) this.drawRing(context, point);
    }
  }

  /** Shades the range of ipTM in which an interface may be right or wrong. */
  drawGreyZone(context) {
    const { left, top } = SCATTER_MARGIN;
    context.fillStyle = themeColour("--line");
    context.globalAlpha = 0.7;
    if (["iptm", "pair_iptm"].includes(this.x.key)) {
      const [from, to] = GREY_ZONE.map((value) => this.across(value));
      context.fillRect(from, top, to - from, this.size[1]);
    }
    if (["iptm", "pair_iptm"].includes(this.y.key)) {
      const [from, to] = GREY_ZONE.map((value) => this.up(value));
      context.fillRect(left, to, this.size[0], from - to);
    }
    context.globalAlpha = 1;
  }

  drawAxes(context) {
    const { left, top } = SCATTER_MARGIN;
    const [length, depth] = this.size;
    context.strokeStyle = themeColour("--faint");
    context.lineWidth = 1;
    context.strokeRect(left + 0.5, top + 0.5, length - 1, depth - 1);
    context.fillStyle = themeColour("--muted");
    const ticks = ([low, high], most) => {
      const step = roundStep(high - low, most);
      const count = Math.floor(high / step + 1e-6) - Math.ceil(low / step - 1e-6) + 1;
      return Array.from({ length: count }, (_, i) => Number(((Math.ceil(low / step - 1e-6) + i) * step).toPrecision(6)));
    };
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const value of ticks(this.range[0], 5)) context.fillText(String(value), this.across(value), top + depth + 5);
    context.fillText(this.x.label, left + length / 2, top + depth + 22);
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const value of ticks(this.range[1], 5)) context.fillText(String(value), left - 5, this.up(value));
    context.save();
    context.translate(9, top + depth / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText(this.y.label, 0, 0);
    context.restore();
  }

  drawPoint(context, point) {
    context.beginPath();
    context.arc(...this.place(point), point.faint ? 2 : 3.2, 0, 2 * Math.PI);
    context.globalAlpha = point.faint ? 0.6 : 0.75;
    context.fillStyle = themeColour(point.faint ? "--faint" : "--accent");
    context.fill();
    context.globalAlpha = 1;
  }

  drawRing(context, point) {
    context.beginPath();
    context.arc(...this.place(point), 6, 0, 2 * Math.PI);
    context.strokeStyle = "#d01c8b";
    context.lineWidth = 2;
    context.stroke();
  }

  across(value) {
    const [low, high] = this.range[0];
    return SCATTER_MARGIN.left + ((value - low) / (high - low)) * this.size[0];
  }

  up(value) {
    const [low, high] = this.range[1];
    return SCATTER_MARGIN.top + (1 - (value - low) / (high - low)) * this.size[1];
  }

  place({ job }) {
    return [this.across(job[this.x.key]), this.up(job[this.y.key])];
  }

  describe({ job }) {
    return `${job.name}: ${this.x.label} ${scoreText(job, this.x)}, ${this.y.label} ${scoreText(job, this.y)}`;
  }

  point(point) {
    if (!point) hideTooltip();
    if (point === this.cursor) return;
    this.cursor = point;
    this.draw();
  }

  onMove(event) {
    const box = this.canvas.getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top];
    let nearest = null;
    let least = REACH;
    for (const point of this.points) {
      const [x, y] = this.place(point);
      const distance = Math.hypot(x - at[0], y - at[1]);
      if (distance <= least) [nearest, least] = [point, distance];
    }
    this.point(nearest);
    if (nearest) showTooltip(event, this.describe(nearest));
  }

  onKey(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Enter" && this.cursor) this.actions.choose(this.cursor.job);
    if (!move) return;
    const near = this.points.filter(({ faint }) => !faint);
    if (!near.length) return;
    const next = near.indexOf(this.cursor) + move;
    this.point(near[Math.min(Math.max(next, 0), near.length - 1)]);
    this.actions.say(this.describe(this.cursor));
    event.preventDefault();
  }
}
