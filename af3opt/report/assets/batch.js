// The batch page: one row per job, sortable and searchable.

const COLUMNS = [
  { key: "name", label: "Job" },
  { key: "contents", label: "Chains" },
  { key: "tokens", label: "Tokens", numeric: true, digits: 0 },
  { key: "samples", label: "Samples", numeric: true, digits: 0 },
  { key: "ranking_score", label: "Ranking", numeric: true, bar: 1 },
  { key: "iptm", label: "ipTM", numeric: true, bar: 1 },
  { key: "ptm", label: "pTM", numeric: true, bar: 1 },
  { key: "interface", label: "Interface" },
  { key: "ipsae", label: "ipSAE", numeric: true, digits: 3, bar: 1 },
  { key: "ilis", label: "iLIS", numeric: true, digits: 3, bar: 1 },
  { key: "mean_plddt", label: "pLDDT", numeric: true, digits: 1, bar: 100 },
  { key: "clash", label: "Clashes" },
  { key: "remarks", label: "Remarks" },
];

const SHORT_REMARK = 16;

const order = { key: "ranking_score", ascending: false };

/** Order of two jobs; missing values come last either way. */
function compareJobs(a, b) {
  const [x, y] = [a[order.key], b[order.key]];
  const [noX, noY] = [x === null || x === "", y === null || y === ""];
  if (noX || noY) return Number(noX) - Number(noY);
  const sign = order.ascending ? 1 : -1;
  if (typeof x === "number") return sign * (x - y);
  return sign * String(x).localeCompare(String(y), undefined, { numeric: true });
}

function matches(job, query, onlyProblems) {
  if (onlyProblems && !job.remarks) return false;
  const text = `${job.name} ${job.directory} ${job.contents} ${job.descriptions} ${job.remarks}`.toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** Remarks on one line; a long text opens on a click. */
function remarksCell(text) {
  const short = text.length <= SHORT_REMARK;
  return el("td", { class: "remark" }, short ? text || DASH
    : el("details", {}, el("summary", {}, `${text.slice(0, SHORT_REMARK)}…`), text));
}

function jobCell(job, { key, numeric, digits = 2, bar }) {
  const value = job[key];
  if (key === "name") {
    const title = job.name === job.directory ? null : el("small", { class: "muted" }, job.directory);
    const name = job.href ? el("a", { href: job.href }, job.name) : job.name;
    return el("th", { scope: "row" }, name, title);
  }
  if (key === "remarks") return remarksCell(value);
  if (!numeric) return cell(value || DASH);
  const known = typeof value === "number";
  const share = known && bar ? Math.min(Math.max(value / bar, 0), 1) : null;
  return el("td", { class: "number" }, fixed(value, digits),
    share === null ? null : el("span", { class: "meter", "aria-hidden": "true" },
      el("span", { style: { width: `${100 * share}%` } })));
}

function sortBy(column) {
  if (order.key === column.key) order.ascending = !order.ascending;
  else Object.assign(order, { key: column.key, ascending: !column.numeric });
  show();
  byId("jobs").querySelector(`[data-key="${column.key}"]`).focus();
}

function headCell(column) {
  const active = order.key === column.key;
  const sort = active ? (order.ascending ? "ascending" : "descending") : null;
  const arrow = active ? (order.ascending ? " ▲" : " ▼") : "";
  return el("th", { scope: "col", "aria-sort": sort, class: column.numeric ? "number" : null },
    el("button", {
      type: "button", class: "sort", "data-key": column.key, on: { click: () => sortBy(column) },
    }, column.label, el("span", { "aria-hidden": "true" }, arrow)));
}

function show() {
  const query = byId("search").value.trim();
  const onlyProblems = byId("only-problems").checked;
  const jobs = DATA.jobs.filter((job) => matches(job, query, onlyProblems)).sort(compareJobs);
  const rows = jobs.map((job) => el("tr", {}, COLUMNS.map((column) => jobCell(job, column))));
  fill("jobs", el("thead", {}, el("tr", {}, COLUMNS.map(headCell))), el("tbody", {}, rows));
  fill("count", `${jobs.length} of ${DATA.jobs.length} jobs`);
}

function showSyntheticBanner() {
  const count = DATA.jobs.filter((job) => job.synthetic).length;
  if (!count) return;
  fill("banners", el("div", { class: "banner loud", role: "alert" },
    el("strong", {}, "Synthetic weights: these structures predict nothing."),
    ` ${count} of ${DATA.jobs.length} jobs ran with random numbers in place of the model's parameters.`));
}

fill("name", DATA.name);
fill("subtitle", `${DATA.jobs.length} job${DATA.jobs.length === 1 ? "" : "s"}; scores are those of the best sample`);
fill("stamp", `Made ${DATA.generated.replace("T", " ").replace("+00:00", " UTC")} by af3opt ${DATA.version}.`);
showSyntheticBanner();
byId("search").addEventListener("input", show);
byId("only-problems").addEventListener("change", show);
show();
document.body.dataset.shown = "jobs";
