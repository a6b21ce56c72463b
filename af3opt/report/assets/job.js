// The job page: chooses samples and ties the panels together.

const state = { index: -1, palette: PALETTES.alphafold, pair: "iptm", decoded: null, shown: 0, pins: [] };
const cache = new Map();

const load = (index) => {
  if (!cache.has(index)) cache.set(index, decodeSample(DATA.samples[index]));
  return cache.get(index);
};

const say = (text) => fill("status", text);

const viewer = new StructureView(byId("viewer"), onViewerHover, (token) => pin([token]));
const pae = new PaePanel(byId("pae"), {
  hover(pair, spoken = false) {
    plddt.point(pair ? pair[1] : null);
    if (pair && spoken) say(describePair(state.decoded, pair));
  },
  pin: (pair) => pin(pair[0] === pair[1] ? [pair[0]] : pair),
  select: selectRegion,
});
const plddt = new PlddtPanel(byId("plddt"), {
  hover(token, spoken = false) {
    if (state.decoded.pae) pae.point(token === null ? null : [token, token]);
    if (token !== null && spoken) say(describeToken(state.decoded, token));
  },
  pin: (token) => pin([token]),
});

function onViewerHover(token) {
  pointAt(token);
  fill("hover", token === null ? "" : describeToken(state.decoded, token));
}

/** Marks one token or a pair in the structure and says what it is. */
function pin(tokens) {
  state.pins = tokens;
  if (viewer.available && state.decoded.topology) viewer.mark(tokens);
  if (!tokens.length) return;
  const described = tokens.length === 2
    ? `${describePair(state.decoded, tokens)}${distanceText(tokens)}`
    : describeToken(state.decoded, tokens[0]);
  say(described);
}

function distanceText(tokens) {
  if (!viewer.available || !state.decoded.topology) return "";
  const [a, b] = tokens.map((token) => viewer.point(token));
  if (!a || !b) return "";
  return `; ${fixed(Math.hypot(a.x - b.x, a.y - b.y, a.z - b.z), 1)} Å apart in this model`;
}

/** Shows a block of the PAE map in the structure: its rows and columns in two colours. */
function selectRegion(region) {
  clearInterface();
  if (!region && !viewer.region) return;
  viewer.region = region;
  pae.setRegion(region);
  if (viewer.available && state.decoded.topology) viewer.restyle();
  showRegionLegend(region && ["aligned on", "scored"], true);
  if (region) say(`Mean PAE of the selection: ${fixed(regionMean(state.decoded, region), 1)} Å`);
}

/** Shows an interface in the structure and as a block of the PAE map. */
async function selectInterface(entry) {
  const { decoded } = state;
  const pairs = await decodePairs(entry);
  if (state.decoded !== decoded) return; // another sample was chosen meanwhile
  const [row, column] = entry.chains.map((id) => decoded.tokens.chainIds.indexOf(id));
  selectChains(row, column);
  closeUp(pairs, new Set(), entry.chains.map((id) => `chain ${id}`));
  markCloseUp(entry.chains.join(":"));
  say(`Interface of chains ${entry.chains.join(" and ")}: ${entry.contacts} contacts`);
}

/** Shows a ligand with the residues around it, which are named. */
async function selectLigand(ligand) {
  const { decoded } = state;
  const contacts = await ligandContacts(ligand);
  if (state.decoded !== decoded) return;
  const around = new Set(contacts.map(([, residue]) => residue));
  const alone = ligand.residues.map((residue) => [residue, residue]);
  selectRegion(null);
  closeUp(contacts.length ? contacts : alone, around, [`ligand ${ligand.id}`, "residues within 5 Å"]);
  markCloseUp(ligand.id);
  say(`Ligand ${ligand.id} (${ligand.names}): ${around.size} residues within 5 Å`);
}

/** Shows residues that touch, some of them named; `names` of the two sides go into the legend. */
function closeUp(pairs, named, names) {
  if (!viewer.available || !state.decoded.topology) return;
  viewer.focusOn(pairs, named);
  showRegionLegend(names);
}

function clearInterface() {
  if (!viewer.focus) return;
  markCloseUp(null);
  viewer.focusOn(null);
  showRegionLegend(null);
}

/** Names the colours of a selection; null for those of pLDDT. `both` is for a block of the PAE map. */
function showRegionLegend(names, both = false) {
  byId("region-legend").hidden = !names;
  byId("plddt-legend").hidden = Boolean(names);
  if (!names) return;
  const entry = (kind, text) => el("li", {}, el("span", { class: `swatch ${kind}` }), text);
  fill("region-legend", entry("aligned", names[0]), entry("scored", names[1]),
    both ? entry("both", "both") : el("li", {}, el("span", { class: "dash" }), "possible hydrogen bond (N, O ≤ 3.5 Å)"));
}

function selectChains(row, column) {
  const spans = (chain) => {
    const parts = state.decoded.tokens.segments.filter((segment) => segment.chain === chain);
    return [parts[0].start, parts.at(-1).end];
  };
  if (!state.decoded.pae || row >= state.decoded.tokens.chainIds.length) return;
  selectRegion({ rows: spans(row), columns: spans(column) });
}

async function select(index) {
  if (index === state.index || !DATA.samples[index]) return;
  state.index = index;
  const sample = DATA.samples[index];
  markChosen(index);
  markSeed(index);
  showTiles(sample);
  showMatrix(sample, state.pair, selectChains);
  const decoded = await load(index);
  if (state.index !== index) return; // a later choice overtook this one
  state.decoded = decoded;
  viewer.region = viewer.focus = null;
  pae.region = null;
  showRegionLegend(null);
  showChains(sample, decoded.topology);
  showInterfaces(sample, selectInterface);
  showLigands(decoded, selectLigand);
  showSaving(sample);
  pae.show(decoded, state.palette);
  plddt.show(decoded, state.palette);
  showSequences(decoded, state.palette);
  showStructure(decoded);
  describePanels(sample, decoded);
  compare(index);
  document.body.dataset.shown = String(index);
}

function showStructure(decoded) {
  const usable = viewer.available && decoded.topology;
  byId("viewer").hidden = !usable;
  byId("no-viewer").hidden = Boolean(usable);
  fill("no-viewer", viewer.available
    ? "No structure to show for this sample: its file is missing, damaged or beyond the number embedded."
    : "This browser offers no WebGL, so the structure cannot be drawn; everything else works.");
  if (!usable) return;
  viewer.show(decoded, state.palette);
  if (state.pins.length) pin(state.pins.filter((token) => token < decoded.tokens.count));
}

/** Labels for those who do not see the pictures. */
function describePanels(sample, decoded) {
  const name = sampleName(sample);
  const keys = "Arrow keys move, Shift moves by ten, Enter marks in the structure.";
  byId("viewer").setAttribute("aria-label", `Structure of ${name}. Arrow keys turn it, plus and minus zoom, 0 resets.`);
  byId("pae").setAttribute("aria-label", `Predicted aligned error of ${name}. ${keys}`);
  const values = decoded.tokenPlddt ? Array.from(decoded.tokenPlddt).filter(Number.isFinite) : [];
  const range = values.length ? `from ${fixed(Math.min(...values), 0)} to ${fixed(Math.max(...values), 0)}` : "unknown";
  byId("plddt").setAttribute("aria-label", `pLDDT of ${name}, ${range}. ${keys}`);
  fill("pae-note", decoded.pae && decoded.pae.binSize > 1
    ? `Large matrix: each cell is the mean of ${decoded.pae.binSize}×${decoded.pae.binSize} token pairs.` : "");
}

/** Draws the other samples' pLDDT behind the chosen one's. */
async function compare(index) {
  const others = [];
  for (let i = 0; i < DATA.samples.length && others.length < 24; i++) {
    const sample = DATA.samples[i];
    if (i === index || !sample.token_plddt || sample.tokens !== DATA.samples[index].tokens) continue;
    others.push(await decodePlddt(sample.token_plddt));
  }
  if (state.index === index) plddt.compareWith(others);
}

function showLegends() {
  fill("plddt-legend", BANDS.map(({ label }, i) =>
    el("li", {}, el("span", { class: "swatch", style: { background: state.palette.bands[i] } }), label)));
  fill("pae-legend", paeLegend(state.palette));
}

function applyPalette(palette) {
  state.palette = palette;
  showLegends();
  recolourAlignments(state.palette);
  if (!state.decoded) return;
  pae.recolour(state.palette);
  plddt.recolour(state.palette);
  showSequences(state.decoded, state.palette);
  if (viewer.available && state.decoded.topology) viewer.restyle(state.palette);
}

/** Moves to the next or previous sample, from anywhere that has no arrow keys of its own. */
function onPageKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "Escape") {
    pin([]);
    selectRegion(null);
    say("");
    return;
  }
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || event.target.closest("input, select, textarea, [tabindex], summary")) return;
  const count = DATA.samples.length;
  select((state.index + step + count) % count);
  event.preventDefault();
}

function wireControls() {
  wirePalette(applyPalette);
  byId("colour-by").addEventListener("change", (event) => {
    viewer.colourBy = event.target.value;
    selectRegion(null);
    if (viewer.available && state.decoded?.topology) viewer.restyle();
  });
  byId("side-chains").addEventListener("change", (event) => {
    viewer.sideChains = event.target.checked;
    if (viewer.available && state.decoded?.topology) viewer.restyle();
  });
  byId("reset").addEventListener("click", () => viewer.available && viewer.reset());
  byId("picture").addEventListener("click", () => {
    if (!viewer.available || !state.decoded?.topology) return;
    const name = `${DATA.directory}_${DATA.samples[state.index].label}.png`.replace(/[^\w.-]/g, "_");
    el("a", { href: viewer.picture(), download: name }).click();
  });
  byId("pair-score").addEventListener("change", (event) => {
    state.pair = event.target.value;
    showMatrix(DATA.samples[state.index], state.pair, selectChains);
  });
  byId("all-pairs").addEventListener("change", () => showInterfaces(DATA.samples[state.index], selectInterface));
  document.addEventListener("keydown", onPageKey);
  onThemeChange(() => {
    pae.draw();
    plddt.draw();
  });
  wireSaving(() => state.decoded);
  wireSequences({ hover: pointAt, pin: (token) => pin([token]) });
}

/** Marks a token in the plots, or takes the marks away. */
function pointAt(token) {
  plddt.point(token);
  if (state.decoded?.pae) pae.point(token === null ? null : [token, token]);
}

/** Marks the residue at a position of an alignment in the plots. */
function pointAtPosition(chain, position) {
  const { tokens } = state.decoded ?? {};
  if (!tokens) return;
  const index = chain === null ? -1 : tokens.chainIds.indexOf(chain);
  const segment = tokens.segments.find((part) => part.chain === index);
  let token = segment?.start ?? null;
  while (token !== null && tokens.number[token] !== position + 1) {
    token = token + 1 < segment.end ? token + 1 : null;
  }
  pointAt(token);
}

function start() {
  fill("name", DATA.name);
  const count = DATA.samples.length;
  fill("subtitle", `${DATA.directory} · ${count} sample${count === 1 ? "" : "s"}`);
  fill("stamp", `Made ${DATA.generated.replace("T", " ").replace("+00:00", " UTC")} by af3opt ${DATA.version}.`);
  showBanners();
  showTimings();
  showRecord();
  showTerms();
  byId("results").hidden = count === 0;
  showAlignments({ hover: pointAtPosition, say }).then(() => recolourAlignments(state.palette));
  if (count === 0) {
    document.body.dataset.shown = "none";
    return;
  }
  wireControls();
  buildPicker(DATA.samples, select);
  buildRanking(DATA.samples, select);
  buildSeeds(select);
  select(0);
}

start();
