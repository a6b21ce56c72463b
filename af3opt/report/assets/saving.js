// What a job's page offers to save: the structure as it was written, scores, a table.

const PACKED = new Set(["coordinates", "atom_plddt", "token_plddt", "pae", "topology", "tokens", "cif", "interfaces"]);

/** Scores of a sample with pLDDT and PAE of its tokens, as plain values. */
function sampleValues({ sample, tokens, tokenPlddt, pae }) {
  const scores = Object.fromEntries(Object.entries(sample).filter(([name]) => !PACKED.has(name)));
  const finite = (values) => Array.from(values, (value) => (Number.isFinite(value) ? Number(value.toFixed(3)) : null));
  const rows = pae && Array.from({ length: pae.side }, (_, row) =>
    finite(Array.from({ length: pae.side }, (__, column) => pae.at(row, column))));
  return {
    job: DATA.name,
    synthetic_weights: DATA.synthetic,
    ...scores,
    interfaces: sample.interfaces.map(({ residues, ...entry }) => entry),
    token_chain_ids: tokens && Array.from(tokens.chain, (chain) => tokens.chainIds[chain]),
    token_res_ids: tokens && Array.from(tokens.number),
    token_plddts: tokenPlddt && finite(tokenPlddt),
    pae_tokens_per_cell: pae && pae.binSize,
    pae: rows,
  };
}

/** Connects the buttons; `chosen()` gives the decoded sample that is shown. */
function wireSaving(chosen) {
  const nameOf = (ending) => `${DATA.directory}_${chosen().sample.label}_${ending}`;
  const listen = (id, listener) => byId(id).addEventListener("click", listener);
  listen("save-cif", async () => saveFile(nameOf("model.cif"), await inflate(chosen().sample.cif), "chemical/x-mmcif"));
  listen("save-json", () => saveJson(nameOf("scores.json"), sampleValues(chosen())));
  listen("save-csv", () => saveFile(`${DATA.directory}_scores.csv`, DATA.csv, "text/csv"));
}

/** Says so where a sample's structure is not in the page. */
function showSaving({ cif, label }) {
  byId("save-cif").disabled = !cif;
  byId("save-cif").title = cif ? "as the engine wrote it" : `not in this page; look in ${label}`;
}
