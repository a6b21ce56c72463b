// Two palettes: the one AlphaFold's readers know, and one that every eye can tell apart
// (Okabe and Ito for bands, cividis for maps).

const CHAIN_COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1"];
const UNKNOWN = "#9aa0a6";
const MAX_PAE = 31.75;

const PALETTES = {
  alphafold: {
    label: "AlphaFold",
    bands: ["#0053d6", "#65cbf3", "#ffdb13", "#ff7d45"],
    pae: [[0, 68, 27], [0, 109, 44], [65, 171, 93], [161, 217, 155], [229, 245, 224], [255, 255, 255]],
    identity: [[255, 0, 0], [255, 178, 96], [128, 254, 179], [2, 181, 235], [128, 0, 255]],
  },
  safe: {
    label: "Colour-blind safe",
    bands: ["#0072b2", "#56b4e9", "#f0e442", "#d55e00"],
    pae: [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]],
    identity: [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]],
  },
};
const BANDS = [
  { limit: 90, label: "Very high (≥ 90)" },
  { limit: 70, label: "Confident (70–90)" },
  { limit: 50, label: "Low (50–70)" },
  { limit: -Infinity, label: "Very low (< 50)" },
];

const chainColour = (index) => CHAIN_COLOURS[index % CHAIN_COLOURS.length];

function plddtColour(value, palette) {
  if (!Number.isFinite(value)) return UNKNOWN;
  return palette.bands[BANDS.findIndex((band) => value >= band.limit)];
}

/** A colour between the stops of a map; `position` from 0 to 1. */
function interpolate(stops, position) {
  const scaled = Math.min(Math.max(position, 0), 1) * (stops.length - 1);
  const left = Math.min(Math.floor(scaled), stops.length - 2);
  return stops[left].map((value, i) => value + (stops[left + 1][i] - value) * (scaled - left));
}

/** Lookup table from quantised PAE to RGBA, 256 entries of 4 bytes. */
function paeTable(palette, pae) {
  const table = new Uint8ClampedArray(1024);
  for (let value = 0; value < 256; value++) {
    const missing = value === pae.missing;
    const rgb = missing ? [154, 160, 166] : interpolate(palette.pae, (value * pae.step) / MAX_PAE);
    table.set([...rgb, 255], 4 * value);
  }
  return table;
}

const cssRgb = (rgb) => `rgb(${rgb.map(Math.round).join(",")})`;

/** Black or white, whichever reads better on a background. */
function inkOn(rgb) {
  const luminance = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
  return luminance > 140 ? "#111418" : "#ffffff";
}

/** Fills the choice of palettes; `apply(palette)` is called now and at each change. */
function wirePalette(apply) {
  const choice = byId("palette");
  choice.append(...Object.entries(PALETTES).map(([name, { label }]) => el("option", { value: name }, label)));
  choice.value = getPreference("palette") in PALETTES ? getPreference("palette") : "alphafold";
  choice.addEventListener("change", () => {
    setPreference("palette", choice.value);
    apply(PALETTES[choice.value]);
  });
  apply(PALETTES[choice.value]);
}
