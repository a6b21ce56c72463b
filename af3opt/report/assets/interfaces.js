// Interfaces: scores of each pair of chains, and their residues in the structure.

const INTERFACE_COLUMNS = [
  ["Kinds", (i) => i.kinds.join(" – "), null, ""],
  ["ipSAE", (i) => i.ipsae_min, 3, "the weaker of both directions; 0 to 1, higher is better"],
  ["ipSAE max", (i) => i.ipsae_max, 3, "the stronger of both directions"],
  ["pDockQ2", (i) => i.pdockq2, 3, "the stronger of both directions; between proteins only"],
  ["iLIS", (i) => i.ilis, 3, "0 to 1, higher is better; not for ligands"],
  ["ipTM", (i) => i.pair_iptm, 2, "the engine's ipTM of the pair", iptmText],
  ["Lowest PAE (Å)", (i) => i.pair_pae_min, 1, "between the two chains"],
  ["Contacts", (i) => i.contacts, 0, "pairs of residues with atoms at most 5 Å apart"],
  ["Buried area (Å²)", (i) => i.buried_area, 0, "solvent-accessible surface that both chains lose"],
];

/** Interfaces in the order of the table: most confident first, those that touch before others. */
function orderedInterfaces(sample) {
  const rank = (entry) => [entry.contacts > 0 ? 1 : 0, entry.ipsae_min ?? -1, entry.pair_iptm ?? -1];
  return [...sample.interfaces].sort((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    const first = x.findIndex((value, i) => value !== y[i]);
    return first < 0 ? 0 : y[first] - x[first];
  });
}

/** Shows the table of a sample; `choose(entry or null)` is told what was clicked. */
function showInterfaces(sample, choose) {
  byId("interfaces-card").hidden = !sample.interfaces.length;
  const ordered = orderedInterfaces(sample);
  const apart = ordered.filter((entry) => !entry.contacts).length;
  const every = byId("all-pairs").checked || apart === ordered.length;
  byId("all-pairs-label").hidden = apart === 0 || apart === ordered.length;
  fill("all-pairs-text", `also the ${apart} pair${apart === 1 ? "" : "s"} that do not touch`);
  const head = [
    el("th", { scope: "col" }, "Chains"),
    ...INTERFACE_COLUMNS.map(([name, , digits, hint]) =>
      el("th", { scope: "col", class: digits === null ? null : "number", title: hint || null }, name)),
  ];
  const rows = ordered.filter((entry) => every || entry.contacts).map((entry) => {
    const name = entry.chains.join(":");
    const button = el("button", {
      type: "button", class: "link", "aria-label": `Show interface ${name}`, on: { click: () => choose(entry) },
    }, name);
    const cells = INTERFACE_COLUMNS.map(([, value, digits, , shown = fixed]) =>
      digits === null ? cell(value(entry)) : cell(shown(value(entry), digits), true));
    return el("tr", { "data-chains": name }, el("th", { scope: "row" }, button), cells);
  });
  fill("interfaces", el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
}

/** Marks the row of what is shown close up: chain ids as in "A:B", or null. */
function markCloseUp(chains) {
  document.querySelectorAll("#interfaces tbody tr, #ligands tbody tr").forEach((row) => {
    row.toggleAttribute("data-chosen", row.dataset.chains === chains);
  });
}
