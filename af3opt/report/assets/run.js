// Banners, how the run went, the record of it, and the terms.

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
  if (items.length) banners.push(banner("warn", "Before you use these results", items));
  fill("banners", banners);
}

const listOf = (value) => (Array.isArray(value) ? value.filter((item) => item && typeof item === "object") : []);

const gigabytes = (bytes) => (Number.isFinite(bytes) && bytes > 0 ? `${(bytes / 1e9).toFixed(2)} GB` : DASH);

/** Stages of all processes, those of several seeds added up: [{name, runs, seconds, host, device}]. */
function stagesOf(record) {
  const stages = new Map();
  const all = [...listOf(record?.earlier), record].flatMap((process) => listOf(process?.stages));
  for (const { name, seconds, host_peak_bytes: host, device_peak_bytes: device } of all) {
    if (!Number.isFinite(seconds)) continue;
    const stage = stages.get(name) ?? { name: String(name), runs: 0, seconds: 0, host: 0, device: 0 };
    stage.runs += 1;
    stage.seconds += seconds;
    stage.host = Math.max(stage.host, host ?? 0);
    stage.device = Math.max(stage.device, device ?? 0);
    stages.set(name, stage);
  }
  return [...stages.values()];
}

function showTimings() {
  const stages = stagesOf(DATA.record);
  byId("timings-card").hidden = stages.length === 0;
  const longest = Math.max(...stages.map(({ seconds }) => seconds), 1e-9);
  const total = stages.reduce((sum, { seconds }) => sum + seconds, 0);
  const names = [["Stage"], ["Runs", true], ["Time", true], ["Peak memory", true], ["On device", true], ["", false]];
  const head = names.map(([name, numeric]) => el("th", { scope: "col", class: numeric ? "number" : null }, name));
  const rows = stages.map(({ name, runs, seconds, host, device }) =>
    el("tr", {},
      el("th", { scope: "row" }, name),
      cell(String(runs), true),
      cell(duration(seconds), true),
      cell(gigabytes(host), true),
      cell(gigabytes(device), true),
      el("td", { class: "bar" }, el("span", { style: { width: `${(100 * seconds) / longest}%` } }))));
  const foot = el("tr", {}, el("th", { scope: "row" }, "sum"), el("td"), cell(duration(total), true),
    el("td"), el("td"), el("td"));
  fill("timings", el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows), el("tfoot", {}, foot));
}

/** [name, value] of what one asks first about a run. */
function factsOf(record) {
  const { engine, weights, host, backend, input } = record;
  const joined = (...parts) => parts.filter((part) => part !== null && part !== undefined && part !== "").join(" · ");
  const padded = input?.padded_tokens ? `${input.tokens} tokens, padded to ${input.padded_tokens}` : "";
  const caches = listOf(record.caches).map(({ name, hits, misses }) => `${name} ${hits} of ${hits + misses}`);
  return [
    ["Status", joined(record.status, record.reason)],
    ["Started", joined(record.started, Number.isFinite(record.seconds) ? `took ${duration(record.seconds)}` : "")],
    ["Input", joined(input?.file, padded)],
    ["Engine", joined(engine?.distribution, engine?.version, engine?.fingerprint)],
    ["Weights", joined(weights?.synthetic ? "SYNTHETIC" : "", weights?.digest, weights?.directory)],
    ["Host", joined(host?.name, host?.cpu, host?.cores ? `${host.cores} cores` : "", host?.gpu)],
    ["Backend", joined(backend?.name, backend?.device, backend?.flash_attention)],
    ["Cache hits", caches.join(", ")],
    ["Earlier processes", listOf(record.earlier).map((process) => joined(process.started, process.host?.name)).join(", ")],
  ].filter(([, value]) => value);
}

function showFacts() {
  const optimizations = listOf(DATA.record?.optimizations);
  fill("facts", factsOf(DATA.record ?? {}).map(([name, value]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, String(value)))));
  byId("optimizations").hidden = optimizations.length === 0;
  const head = ["Optimisation", "Class", "Active", "Why not"].map((name) => el("th", { scope: "col" }, name));
  const rows = optimizations.map(({ name, fidelity, active, reason }) =>
    el("tr", {}, el("th", { scope: "row" }, String(name)), cell(String(fidelity ?? DASH)),
      cell(active ? "yes" : "no"), cell(String(reason || DASH))));
  fill("optimizations", el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
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
  if (!DATA.record) return;
  showFacts();
  fill("record", tree(DATA.record));
}

function showTerms() {
  const short = DATA.terms
    ? "The terms of use that came with these results apply to them and to anything derived from them."
    : "TERMS_OF_USE.md is not in this directory. Outputs of AlphaFold 3 are subject to its output terms of use.";
  fill("terms-short", short);
  byId("terms-full").hidden = !DATA.terms;
  fill("terms", DATA.terms);
}
