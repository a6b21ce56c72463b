// Banners, how the run went, the record of it, and the terms.

const STAGE_KEYS = ["stages", "timings", "stage_seconds"];
const SECONDS_KEYS = ["seconds", "wall_seconds", "duration_seconds"];

function banner(kind, title, items) {
  return el("div", { class: `banner ${kind}`, role: kind === "loud" ? "alert" : "note" },
    el("strong", {}, title), items.length ? el("ul", {}, items.map((item) => el("li", {}, item))) : null);
}

function showBanners() {
  const banners = [];
  if (DATA.synthetic) {
    banners.push(banner("loud", "Synthetic weights: this structure predicts nothing.", [
      "The model ran with random numbers in place of its parameters. Use this page to test software only.",
    ]));
  }
  const incomplete = DATA.samples.filter((sample) => sample.missing.length);
  const items = [...DATA.problems];
  for (const sample of incomplete) items.push(`${sampleName(sample)}: ${sample.missing.join("; ")}`);
  if (items.length) banners.push(banner("warn", "Incomplete results", items));
  fill("banners", banners);
}

/** Seconds of one entry of a stage list, whatever its shape. */
function secondsOf(entry) {
  if (typeof entry === "number") return entry;
  const key = SECONDS_KEYS.find((name) => typeof entry?.[name] === "number");
  return key ? entry[key] : NaN;
}

/** [stage, seconds] pairs from a run record; empty when it lists none. */
function stagesOf(record) {
  const key = STAGE_KEYS.find((name) => record?.[name] && typeof record[name] === "object");
  if (!key) return [];
  const entries = Array.isArray(record[key])
    ? record[key].map((entry) => [entry?.name ?? entry?.stage ?? "stage", secondsOf(entry)])
    : Object.entries(record[key]).map(([name, entry]) => [name, secondsOf(entry)]);
  return entries.filter(([, seconds]) => Number.isFinite(seconds));
}

function showTimings() {
  const stages = stagesOf(DATA.record);
  byId("timings-card").hidden = stages.length === 0;
  const longest = Math.max(...stages.map(([, seconds]) => seconds), 1e-9);
  const total = stages.reduce((sum, [, seconds]) => sum + seconds, 0);
  const rows = stages.map(([name, seconds]) =>
    el("tr", {},
      el("th", { scope: "row" }, String(name)),
      cell(duration(seconds), true),
      el("td", { class: "bar" }, el("span", { style: { width: `${(100 * seconds) / longest}%` } }))));
  fill("timings", el("tbody", {}, rows), el("tfoot", {},
    el("tr", {}, el("th", { scope: "row" }, "sum"), cell(duration(total), true), el("td", {}))));
}

/** A value of the record as nested lists that fold. */
function tree(value) {
  if (value === null || typeof value !== "object") {
    return el("span", { class: `leaf ${typeof value}` }, value === "" ? "“”" : String(value));
  }
  const entries = Array.isArray(value) ? value.map((item, i) => [i + 1, item]) : Object.entries(value);
  if (!entries.length) return el("span", { class: "leaf" }, "none");
  return el("dl", {}, entries.map(([key, item]) => {
    const nested = item !== null && typeof item === "object" && Object.keys(item).length > 0;
    if (!nested) return el("div", {}, el("dt", {}, String(key)), el("dd", {}, tree(item)));
    return el("details", {}, el("summary", {}, String(key)), tree(item));
  }));
}

function showRecord() {
  byId("record-card").hidden = !DATA.record;
  if (DATA.record) fill("record", tree(DATA.record));
}

function showTerms() {
  const short = DATA.terms
    ? "The terms of use that came with these results apply to them and to anything derived from them."
    : "TERMS_OF_USE.md is not in this directory. Outputs of AlphaFold 3 are subject to its output terms of use.";
  fill("terms-short", short);
  byId("terms-full").hidden = !DATA.terms;
  fill("terms", DATA.terms);
}
