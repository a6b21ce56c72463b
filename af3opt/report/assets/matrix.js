// Scores of chain pairs, and the table of chains.

const PAIR_SCORES = {
  iptm: {
    field: "chain_pair_iptm",
    label: "ipTM",
    hint: "Interface score of each pair of chains; on the diagonal, pTM of the chain alone.",
    goodness: (value) => value,
    digits: 2,
  },
  pae: {
    field: "chain_pair_pae_min",
    label: "Lowest PAE (Å)",
    hint: "Lowest expected position error between two chains; below about 5 Å they may touch.",
    goodness: (value) => 1 - value / MAX_PAE,
    digits: 1,
  },
};
// Light to dark blue: more is better, readable in grey and to every eye.
const GOODNESS = [[247, 251, 255], [198, 219, 239], [107, 174, 214], [33, 113, 181], [8, 48, 107]];

/** Chain names for a matrix of a given size; numbers when they are not known. */
function chainNames(sample, size) {
  return sample.chain_ids.length === size
    ? sample.chain_ids
    : Array.from({ length: size }, (_, i) => String(i + 1));
}

/** Shows one kind of pair score; `select(i, j)` is told of a chosen pair. */
function showMatrix(sample, kind, select) {
  const { field, label, hint, goodness, digits } = PAIR_SCORES[kind];
  const matrix = sample[field];
  fill("matrix-hint", matrix ? hint : "This sample has no chain-pair scores.");
  if (!matrix) {
    fill("matrix");
    return;
  }
  const names = chainNames(sample, matrix.length);
  const head = names.map((name) => el("th", { scope: "col" }, name));
  const rows = matrix.map((row, i) => {
    const cells = row.map((value, j) => {
      const text = fixed(value, digits);
      const known = typeof value === "number";
      const rgb = known ? interpolate(GOODNESS, goodness(value)) : null;
      const style = known ? { background: cssRgb(rgb), color: inkOn(rgb) } : {};
      const doubt = kind === "iptm" && i !== j && inGreyZone(value) ? `, ${GREY_ZONE_TEXT}` : "";
      const name = `${label}, chains ${names[i]} and ${names[j]}: ${text}${doubt}`;
      const attributes = { type: "button", style, title: name, "aria-label": name };
      return el("td", {}, el("button", { ...attributes, on: { click: () => select(i, j) } }, text));
    });
    return el("tr", {}, el("th", { scope: "row" }, names[i]), cells);
  });
  const corner = el("td", {});
  fill("matrix", el("thead", {}, el("tr", {}, corner, head)), el("tbody", {}, rows));
}

/** Chains as given in the input, else as found in the structure. */
function chainRows(sample, topology) {
  if (DATA.chains.length) {
    return DATA.chains.map((chain) => ({
      id: chain.chain_id,
      kind: chain.kind,
      content: chain.content,
      length: chain.kind === "ligand" ? null : chain.content.length,
      notes: [
        chain.description,
        chain.modifications ? `${chain.modifications} modified residues` : "",
        chain.msa_rows === null ? "" : `${chain.msa_rows} MSA rows`,
        chain.templates ? `${chain.templates} templates` : "",
      ].filter(Boolean).join(" · "),
    }));
  }
  return (topology?.chains ?? []).map(({ id, kind }, i) => ({
    id,
    kind,
    content: "",
    length: topology.residueChain.filter((chain) => chain === i).length,
    notes: "",
  }));
}

function showChains(sample, topology) {
  const names = ["Chain", "Kind", "Residues", "pTM", "Mean ipTM", "Content", "Notes"];
  const head = names.map((name) => el("th", { scope: "col" }, name));
  const rows = chainRows(sample, topology).map(({ id, kind, content, length, notes }) => {
    const index = sample.chain_ids.indexOf(id);
    const swatch = el("span", { class: "swatch", style: { background: chainColour(Math.max(index, 0)) } });
    return el("tr", {},
      el("th", { scope: "row" }, index >= 0 ? swatch : null, id),
      cell(kind),
      cell(length === null ? DASH : String(length), true),
      cell(fixed(sample.chain_ptm?.[index]), true),
      cell(fixed(sample.chain_iptm?.[index]), true),
      cell(el("code", { class: "sequence", title: content }, content || DASH)),
      cell(notes || DASH));
  });
  fill("chains", el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
}
