// The scores of a screen: how each is called and written, in the table and in the plot.

// `bar` is the most a score can be. `minor` columns are left out on narrow screens, `extra`
// ones on all but wide ones. Clashes are among the remarks.
const COLUMNS = [
  { key: "name", label: "Job" },
  { key: "contents", label: "Chains", minor: true },
  { key: "tokens", label: "Tokens", numeric: true, digits: 0, minor: true },
  { key: "samples", label: "Samples", numeric: true, digits: 0, minor: true, extra: true },
  { key: "ranking_score", label: "Ranking", numeric: true, bar: 1 },
  { key: "iptm", label: "ipTM", numeric: true, bar: 1 },
  { key: "ptm", label: "pTM", numeric: true, bar: 1, minor: true },
  { key: "interface", label: "Interface", minor: true },
  { key: "ipsae", label: "ipSAE", numeric: true, digits: 3, bar: 1 },
  { key: "ilis", label: "iLIS", numeric: true, digits: 3, bar: 1, minor: true },
  { key: "mean_plddt", label: "pLDDT", numeric: true, digits: 1, bar: 100 },
  { key: "remarks", label: "Remarks" },
];
// What only the plot offers.
const FURTHER_SCORES = [
  { key: "pair_iptm", label: "ipTM of the interface", digits: 2, bar: 1 },
  { key: "pair_pae_min", label: "Lowest PAE (Å)", digits: 1 },
  { key: "pdockq2", label: "pDockQ2", digits: 3, bar: 1 },
  { key: "contacts", label: "Contacts", digits: 0 },
  { key: "buried_area", label: "Buried area (Å²)", digits: 0 },
];

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Columns with at least one value: an empty one only takes room. */
function usedColumns(jobs) {
  const filled = (value) => (Array.isArray(value) ? value.length > 0 : value !== null && value !== "");
  return COLUMNS.filter(({ key }) => key === "name" || jobs.some((job) => filled(job[key])));
}

/** Scores that at least one job has, for the axes of the plot. */
function usedScores(jobs) {
  return [...COLUMNS.filter(({ numeric }) => numeric), ...FURTHER_SCORES]
    .filter(({ key }) => jobs.some((job) => isNumber(job[key])));
}

const scoreText = (job, { key, digits = 2 }) => fixed(job[key], digits);

const NAME_END = 10;

/** A job's name; where it is too long, its middle is left out: names of a screen start alike. */
function nameNode(job) {
  const parts = [...job.name];
  const words = [parts.slice(0, -NAME_END), parts.slice(-NAME_END)].map((part) => el("span", {}, part.join("")));
  return job.href ? el("a", { class: "name", href: job.href }, words) : el("span", { class: "name" }, words);
}
