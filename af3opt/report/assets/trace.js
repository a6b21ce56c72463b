// Small pictures of structures: chains as bands coloured by pLDDT, ligands as dots, seen
// along the shortest axis, what is near in front.

const LIGAND_POINT = 255;
const traces = new Map();

/** Unpacks a job's points once: {count, rows: x, y, z, pLDDT and chain of each}. */
function loadTrace(job) {
  if (!traces.has(job)) {
    traces.set(job, inflate(job.trace).then((bytes) => {
      const count = bytes.length / 5;
      return { count, rows: [0, 1, 2, 3, 4].map((row) => bytes.subarray(row * count, (row + 1) * count)) };
    }));
  }
  return traces.get(job);
}

/** Bands between neighbours of a chain and dots of ligands, the furthest first. */
function traceParts({ count, rows: [, , z, , chain] }) {
  const parts = [];
  for (let i = 0; i < count; i++) {
    if (chain[i] === LIGAND_POINT) parts.push({ from: i, to: i, depth: z[i] });
    else if (i + 1 < count && chain[i + 1] === chain[i]) {
      parts.push({ from: i, to: i + 1, depth: (z[i] + z[i + 1]) / 2 });
    }
  }
  return parts.sort((a, b) => a.depth - b.depth);
}

/** Draws a trace into a canvas of a given size. */
function drawTrace(canvas, trace, palette, { width, height }) {
  const context = prepareCanvas(canvas, width, height);
  const [x, y, , plddt] = trace.rows;
  const span = (values) => Math.max(...values.map((value) => Math.abs(value - 128)), 8);
  const edge = 8;
  const scale = Math.min((width / 2 - edge) / span([...x]), (height / 2 - edge) / span([...y]));
  const place = (i) => [width / 2 + (x[i] - 128) * scale, height / 2 - (y[i] - 128) * scale];
  const thickness = Math.min(5, Math.max(1.8, 260 / Math.sqrt(trace.count * 40)));
  const edgeColour = themeColour("--card");
  for (const { from, to } of traceParts(trace)) {
    const wide = from === to ? thickness * 1.3 : thickness;
    const value = plddt[from] > 100 ? NaN : plddt[from];
    // An edge without caps parts a band from what lies behind, not from its own neighbours.
    for (const [colour, lineWidth, cap] of [[edgeColour, wide + 2, "butt"], [plddtColour(value, palette), wide, "round"]]) {
      context.strokeStyle = colour;
      context.lineWidth = lineWidth;
      context.lineCap = cap;
      context.beginPath();
      context.moveTo(...place(from));
      context.lineTo(...place(to));
      context.stroke();
    }
  }
}
