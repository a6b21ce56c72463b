// Scores: tiles of the chosen sample, the sample picker, the ranking table.

const sampleName = (sample) =>
  sample.seed === null ? sample.label : `seed ${sample.seed}, sample ${sample.sample}`;

const clashText = (sample) => (sample.has_clash === null ? DASH : sample.has_clash ? "yes" : "no");

/** [name, value, what it means] of the headline numbers. */
function tilesOf(sample) {
  const single = sample.chain_ids.length === 1;
  return [
    ["Ranking score", fixed(sample.ranking_score), "orders the samples; higher is better"],
    ["ipTM", fixed(sample.iptm), single ? "one chain: not defined" : iptmMeaning(sample.iptm)],
    ["pTM", fixed(sample.ptm), "overall fold; above 0.5 is likely right"],
    ["Mean pLDDT", fixed(sample.mean_plddt, 1), "local confidence, 0–100"],
    ["Disordered", fixed(sample.fraction_disordered), "fraction of the residues"],
    ["Clashes", clashText(sample), "as judged by the engine"],
  ];
}

function showTiles(sample) {
  const doubts = { Clashes: sample.has_clash, ipTM: inGreyZone(sample.iptm) };
  fill("tiles", tilesOf(sample).map(([name, value, hint]) =>
    el("div", { class: `tile${doubts[name] ? " bad" : ""}` },
      el("dt", {}, name), el("dd", {}, value, el("small", {}, hint)))));
  const remarks = [...sample.flags, ...sample.missing];
  fill("remarks", remarks.map((text) => el("li", {}, text)));
}

/** The sample picker: a radio group, so that arrow keys move in it. */
function buildPicker(samples, select) {
  const choices = samples.map((sample, i) =>
    el("label", { class: "chip" },
      el("input", { type: "radio", name: "sample", value: i, on: { change: () => select(i) } }),
      el("span", {},
        el("b", {}, sample.rank === null ? "unranked" : `#${sample.rank}`), ` ${sampleName(sample)}`,
        sample.flags.length ? el("i", { class: "flag", title: sample.flags.join("; ") }, "!") : null)));
  byId("picker").append(...choices);
}

const RANKING_COLUMNS = [
  ["Rank", (s) => s.rank ?? DASH, true],
  ["Sample", sampleName, false],
  ["Ranking score", (s) => fixed(s.ranking_score), true],
  ["ipTM", (s) => iptmText(s.iptm), true],
  ["pTM", (s) => fixed(s.ptm), true],
  ["Mean pLDDT", (s) => fixed(s.mean_plddt, 1), true],
  ["Disordered", (s) => fixed(s.fraction_disordered), true],
  ["RMSD to best (Å)", (s) => fixed(s.rmsd), true],
  ["Clashes", clashText, false],
  ["Remarks", (s) => [...s.flags, ...s.missing].join("; ") || DASH, false],
];

function buildRanking(samples, select) {
  const head = RANKING_COLUMNS.map(([name, , numeric]) =>
    el("th", { scope: "col", class: numeric ? "number" : null }, name));
  const rows = samples.map((sample, i) => {
    const cells = RANKING_COLUMNS.map(([name, value, numeric]) => {
      const content = value(sample);
      if (name !== "Sample") return cell(content, numeric);
      return cell(el("button", { type: "button", class: "link", on: { click: () => select(i) } }, content));
    });
    return el("tr", {}, cells);
  });
  fill("ranking", el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
}

function markChosen(index) {
  byId("picker").querySelectorAll("input").forEach((input, i) => (input.checked = i === index));
  byId("ranking").querySelectorAll("tbody tr").forEach((row, i) => {
    row.toggleAttribute("data-chosen", i === index);
  });
}
