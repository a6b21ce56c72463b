// What the plots share: crisp canvases, chain strips, ticks, the tooltip.

const FONT = "12px system-ui, sans-serif";
const STRIP = 8;

/** Sizes a canvas to its box in device pixels; returns its context in CSS pixels. */
function prepareCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = FONT;
  context.clearRect(0, 0, width, height);
  return context;
}

/** Distance between ticks: a round number of tokens at least `pixels` apart. */
function tickStep(tokens, length, pixels) {
  const least = (tokens * pixels) / length;
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least);
}

/** Ticks at round residue numbers of every chain: [{token, label}]. */
function chainTicks(tokens, length, pixels) {
  const step = tickStep(tokens.count, length, pixels);
  const ticks = [];
  for (const { start, end } of tokens.segments) {
    const room = (pixels * tokens.count) / length;
    for (let token = start; token < end; token++) {
      const clear = token - start > room * 0.6 && end - token > room * 0.3;
      const polymer = tokens.atom[token] < 0;
      if (polymer && clear && tokens.number[token] % step === 0) {
        ticks.push({ token, label: String(tokens.number[token]) });
      }
    }
  }
  return ticks;
}

/** Draws the chains as a coloured strip with their names; `vertical` along y. */
function drawStrip(context, tokens, { x, y, length, vertical }) {
  for (const { chain, start, end } of tokens.segments) {
    const from = (start / tokens.count) * length;
    const size = ((end - start) / tokens.count) * length;
    context.fillStyle = chainColour(chain);
    if (vertical) context.fillRect(x, y + from, STRIP, Math.max(size - 1, 1));
    else context.fillRect(x + from, y, Math.max(size - 1, 1), STRIP);
    const name = tokens.chainIds[chain];
    if (context.measureText(name).width + 2 > size) continue;
    context.fillStyle = themeColour("--ink");
    context.textAlign = vertical ? "right" : "center";
    context.textBaseline = vertical ? "middle" : "bottom";
    if (vertical) context.fillText(name, x - 4, y + from + size / 2);
    else context.fillText(name, x + from + size / 2, y - 3);
  }
}

const tooltip = byId("tooltip");

function showTooltip(event, text) {
  tooltip.textContent = text;
  tooltip.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = tooltip;
  const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - width - 8);
  const above = event.clientY - height - 12;
  tooltip.style.left = `${Math.max(left, 4)}px`;
  tooltip.style.top = `${above > 4 ? above : event.clientY + 18}px`;
}

function hideTooltip() {
  tooltip.hidden = true;
}
