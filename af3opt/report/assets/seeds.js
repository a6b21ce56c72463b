// Seeds as groups: do samples of one seed agree with each other, and seeds among themselves?

const SEED_SCORES = [
  ["ranking_score", "ranking score", 2], ["iptm", "ipTM", 2], ["ptm", "pTM", 2], ["mean_plddt", "mean pLDDT", 1],
];

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard deviation; 0 for a single value. */
function spread(values) {
  const centre = mean(values);
  return values.length < 2 ? 0
    : Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
}

/** Samples by seed, with a score: [{seed, members: [{index, value}], values}], best first. */
function seedGroups(key) {
  const groups = new Map();
  DATA.samples.forEach((sample, index) => {
    if (sample.seed === null || typeof sample[key] !== "number") return;
    if (!groups.has(sample.seed)) groups.set(sample.seed, []);
    groups.get(sample.seed).push({ index, value: sample[key] });
  });
  return [...groups].map(([seed, members]) => ({ seed, members, values: members.map(({ value }) => value) }))
    .sort((a, b) => Math.max(...b.values) - Math.max(...a.values));
}

/** What the groups say in a sentence. */
function seedSummary(groups, label, digits) {
  const between = spread(groups.map(({ values }) => mean(values)));
  const several = groups.filter(({ values }) => values.length > 1);
  if (!several.length) return `The ${label} of ${groups.length} seeds has a standard deviation of ${fixed(between, digits + 1)}.`;
  const within = mean(several.map(({ values }) => spread(values)));
  const verdict = between > within ? "seeds differ more than samples of a seed: more seeds may help"
    : "samples of a seed differ as much as seeds do";
  return `Standard deviation of the ${label}: ${fixed(between, digits + 1)} between the means of seeds, `
    + `${fixed(within, digits + 1)} within a seed; ${verdict}.`;
}

function seedRow({ seed, members, values }, [low, high], digits, select) {
  const dots = members.map(({ index, value }) => {
    const name = `${sampleName(DATA.samples[index])}: ${fixed(value, digits)}`;
    const share = high > low ? (value - low) / (high - low) : 0.5;
    return el("button", {
      type: "button", class: "dot", "data-index": index, title: name, "aria-label": `Show ${name}`,
      style: { left: `${100 * share}%` }, on: { click: () => select(index) },
    });
  });
  return el("tr", {}, el("th", { scope: "row" }, String(seed)), cell(String(values.length), true),
    cell(fixed(Math.max(...values), digits), true), cell(fixed(mean(values), digits), true),
    cell(fixed(Math.min(...values), digits), true), el("td", { class: "dots" }, el("div", {}, dots)));
}

/** Shows the seeds by the chosen score; nothing for a single seed. */
function showSeeds(select) {
  const [key, label, digits] = SEED_SCORES.find(([name]) => name === byId("seed-score").value);
  const groups = seedGroups(key);
  const all = groups.flatMap(({ values }) => values);
  const range = [Math.min(...all), Math.max(...all)];
  const head = ["Seed", "Samples", "Best", "Mean", "Lowest"].map((name, i) =>
    el("th", { scope: "col", class: i ? "number" : null }, name));
  const scale = el("th", { scope: "col", class: "dots" },
    el("div", { class: "scale" }, el("span", {}, fixed(range[0], digits)), el("span", {}, fixed(range[1], digits))));
  fill("seeds", el("thead", {}, el("tr", {}, head, scale)),
    el("tbody", {}, groups.map((group) => seedRow(group, range, digits, select))));
  fill("seeds-summary", groups.length > 1 ? seedSummary(groups, label, digits) : "");
}

/** Offers the scores that several seeds have. */
function buildSeeds(select) {
  const offered = SEED_SCORES.filter(([key]) => seedGroups(key).length > 1);
  byId("seeds-card").hidden = offered.length === 0;
  if (!offered.length) return;
  byId("seed-score").append(...offered.map(([key, label]) => el("option", { value: key }, label)));
  byId("seed-score").addEventListener("change", () => {
    showSeeds(select);
    markSeed();
  });
  showSeeds(select);
}

/** Marks the dot of the sample that is shown. */
function markSeed(index = Number(byId("seeds").dataset.index ?? 0)) {
  byId("seeds").dataset.index = index;
  byId("seeds").querySelectorAll(".dot").forEach((dot) => {
    dot.toggleAttribute("data-chosen", Number(dot.dataset.index) === index);
  });
}
