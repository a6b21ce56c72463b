// The page of a batch: a table of its jobs, a plot of two scores, pictures of the first rows.

// Rows shown at once: thousands of them would make sorting slow.
const PAGE_ROWS = 200;
const SHORT_REMARK = 18;
const COLUMNS_USED = usedColumns(DATA.jobs);
const SCORES_USED = usedScores(DATA.jobs);

const state = { key: "ranking_score", ascending: false, rows: PAGE_ROWS, chosen: null, palette: PALETTES.alphafold };
const opened = new Set();
const scatter = new Scatter(byId("scatter"), { choose, say: (text) => fill("status", text) });

/** Order of two jobs; missing values come last either way. */
function compareJobs(a, b) {
  const [x, y] = [a, b].map((job) => (state.key === "remarks" ? remarkSummary(job) : job[state.key]));
  const [noX, noY] = [x === null || x === "", y === null || y === ""];
  if (noX || noY) return Number(noX) - Number(noY);
  const sign = state.ascending ? 1 : -1;
  if (typeof x === "number") return sign * (x - y);
  return sign * String(x).localeCompare(String(y), undefined, { numeric: true });
}

function matches(job, query, onlyProblems) {
  if (onlyProblems && !job.remarks.length) return false;
  const words = [job.name, job.directory, job.contents, job.descriptions, ...job.remarks];
  const text = words.join(" ").toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** Jobs that fit the search, in the order of the table. */
function listedJobs() {
  const query = byId("search").value.trim();
  const onlyProblems = byId("only-problems").checked;
  return DATA.jobs.filter((job) => matches(job, query, onlyProblems)).sort(compareJobs);
}

/** Remarks in a few words: one that is short as it is, else how many there are. */
function remarkSummary({ remarks }) {
  if (!remarks.length) return "";
  if (remarks.length === 1 && remarks[0].length <= SHORT_REMARK) return remarks[0];
  const failed = remarks[0].startsWith("failed: ");
  const rest = remarks.length - (failed ? 1 : 0);
  const count = `${rest} remark${rest === 1 ? "" : "s"}`;
  if (!failed) return count;
  return rest ? `failed, ${count}` : "failed";
}

function remarksCell(job) {
  const summary = remarkSummary(job);
  if (!summary || job.remarks[0] === summary) return el("td", { class: "remark" }, summary || DASH);
  const toggle = () => {
    if (!opened.delete(job)) opened.add(job);
    show();
    byId("jobs").querySelector(`[data-job="${CSS.escape(job.directory)}"] button`).focus();
  };
  return el("td", { class: "remark" }, el("button", {
    type: "button", class: "link", "aria-expanded": String(opened.has(job)), on: { click: toggle },
  }, summary));
}

function columnClass({ numeric, minor, extra }) {
  return [numeric ? "number" : "words", minor ? "minor" : "", extra ? "extra" : ""].filter(Boolean).join(" ");
}

function jobCell(job, column) {
  const { key, numeric, digits = 2, bar } = column;
  const value = job[key];
  const kind = columnClass(column);
  if (key === "name") {
    const title = job.name === job.directory ? job.name : `${job.name} (${job.directory})`;
    return el("th", { scope: "row", title }, nameNode(job));
  }
  if (key === "remarks") return remarksCell(job);
  if (!numeric) return el("td", { class: kind, title: value || null }, value || DASH);
  const share = isNumber(value) && bar ? Math.min(Math.max(value / bar, 0), 1) : 0;
  const style = share ? { "--share": `${100 * share}%` } : {};
  return el("td", { class: `${kind}${share ? " meter" : ""}`, style },
    key === "iptm" ? iptmText(value, digits) : fixed(value, digits));
}

function jobRows(job) {
  const find = (event) => {
    if (!event.target.closest("a, button")) choose(job);
  };
  const row = el("tr", { "data-job": job.directory, "data-chosen": state.chosen === job, on: { click: find } },
    COLUMNS_USED.map((column) => jobCell(job, column)));
  if (!opened.has(job)) return [row];
  const details = el("td", { colspan: COLUMNS_USED.length },
    el("ul", {}, job.remarks.map((remark) => el("li", {}, remark))));
  return [row, el("tr", { class: "details" }, details)];
}

function sortBy(column) {
  if (state.key === column.key) state.ascending = !state.ascending;
  else Object.assign(state, { key: column.key, ascending: !column.numeric });
  show();
  byId("jobs").querySelector(`[data-key="${column.key}"]`).focus();
}

function headCell(column) {
  const active = state.key === column.key;
  const sort = active ? (state.ascending ? "ascending" : "descending") : null;
  const arrow = active ? (state.ascending ? " ▲" : " ▼") : "";
  return el("th", { scope: "col", "aria-sort": sort, class: columnClass(column) },
    el("button", {
      type: "button", class: "sort", "data-key": column.key, on: { click: () => sortBy(column) },
    }, column.label, el("span", { "aria-hidden": "true" }, arrow)));
}

/** A last row for more rows, where there are any. */
function moreRows(hidden) {
  if (hidden <= 0) return [];
  const more = () => {
    state.rows += PAGE_ROWS;
    show();
  };
  const text = `Show ${Math.min(hidden, PAGE_ROWS)} more of ${hidden}`;
  return [el("tr", {}, el("td", { colspan: COLUMNS_USED.length },
    el("button", { type: "button", id: "more", on: { click: more } }, text)))];
}

/** What the pictures are captioned with: the score that the table is sorted by. */
function captionScore() {
  return SCORES_USED.find(({ key }) => key === state.key) ?? COLUMNS.find(({ key }) => key === "ranking_score");
}

function show() {
  const jobs = listedJobs();
  const rows = jobs.slice(0, state.rows).flatMap(jobRows);
  fill("jobs", el("thead", {}, el("tr", {}, COLUMNS_USED.map(headCell))),
    el("tbody", {}, rows, moreRows(jobs.length - state.rows)));
  fill("count", `${jobs.length} of ${DATA.jobs.length}`);
  showGallery(jobs, captionScore(), state.palette, state.chosen);
  const [x, y] = ["score-x", "score-y"].map((id) => SCORES_USED.find(({ key }) => key === byId(id).value));
  if (x && y) scatter.show(jobs, DATA.jobs, x, y);
}

/** Marks a job everywhere and brings its row into sight. */
function choose(job) {
  state.chosen = state.chosen === job ? null : job;
  const position = listedJobs().indexOf(job);
  state.rows = Math.max(state.rows, position + 1);
  show();
  scatter.mark(state.chosen);
  if (!state.chosen) return;
  byId("jobs").querySelector("tr[data-chosen]")?.scrollIntoView({ block: "nearest" });
}

/** Fills the choices of the plot; ipTM and ipSAE first, where there are interfaces. */
function wireScores() {
  const keys = SCORES_USED.map(({ key }) => key);
  const preferred = ["iptm", "ipsae", "pair_iptm", "ranking_score", "mean_plddt", "ptm"];
  const [x, y] = preferred.filter((key) => keys.includes(key));
  for (const [id, key] of [["score-x", x], ["score-y", y ?? x]]) {
    byId(id).append(...SCORES_USED.map((score) => el("option", { value: score.key }, score.label)));
    byId(id).value = key ?? "";
    byId(id).addEventListener("change", show);
  }
  byId("scatter-card").hidden = !x;
}

/** Values of the listed jobs without what only the page needs. */
function listedValues() {
  return listedJobs().map(({ trace, href, descriptions, ...values }) => values);
}

function wireSaving() {
  byId("save-json").addEventListener("click", () => saveJson(`${DATA.name}.json`, listedValues()));
  byId("save-csv").addEventListener("click", () => {
    const jobs = listedValues().map((job) => ({ ...job, remarks: job.remarks.join("; ") }));
    const names = [...new Set(jobs.flatMap(Object.keys))];
    saveFile(`${DATA.name}.csv`, csvText([names, ...jobs.map((job) => names.map((name) => job[name]))]), "text/csv");
  });
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
wireScores();
wireSaving();
for (const id of ["search", "only-problems"]) {
  byId(id).addEventListener("input", () => {
    state.rows = PAGE_ROWS;
    show();
  });
}
wirePalette((palette) => {
  state.palette = palette;
  show();
});
onThemeChange(show);
document.body.dataset.shown = "jobs";
