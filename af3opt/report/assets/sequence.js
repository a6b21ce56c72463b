// The sequences of all polymer chains, each residue on the colour of its pLDDT.

const LETTERS = {
  ALA: "A", ARG: "R", ASN: "N", ASP: "D", CYS: "C", GLN: "Q", GLU: "E", GLY: "G", HIS: "H", ILE: "I",
  LEU: "L", LYS: "K", MET: "M", PHE: "F", PRO: "P", SER: "S", THR: "T", TRP: "W", TYR: "Y", VAL: "V",
  DA: "A", DC: "C", DG: "G", DT: "T", A: "A", C: "C", G: "G", U: "U",
};
const GROUP = 10;

/** Residues of polymers by chain: [{id, kind, residues: [{letter, name, number, token, plddt}]}]. */
function polymerSequences({ topology, tokens, tokenPlddt }) {
  const firstToken = new Map();
  const values = new Map();
  for (let token = 0; token < tokens.count; token++) {
    const residue = tokens.residue[token];
    if (!firstToken.has(residue)) firstToken.set(residue, token);
    if (tokenPlddt) values.set(residue, [...(values.get(residue) ?? []), tokenPlddt[token]]);
  }
  const chains = topology.chains.map(({ id, kind }) => ({ id, kind, residues: [] }));
  topology.residueName.forEach((name, residue) => {
    if (!firstToken.has(residue)) return;
    const found = values.get(residue) ?? [];
    chains[topology.residueChain[residue]].residues.push({
      letter: Object.hasOwn(LETTERS, name) ? LETTERS[name] : "X",
      name,
      number: topology.residueNumber[residue],
      token: firstToken.get(residue),
      plddt: found.reduce((sum, value) => sum + value, 0) / found.length,
    });
  });
  return chains.filter(({ kind, residues }) => kind !== "ligand" && residues.length);
}

function residueNode({ letter, name, number, token, plddt }, chain, palette) {
  const background = plddtColour(plddt, palette);
  const [, ...hex] = background.match(/^#(..)(..)(..)$/);
  const color = inkOn(hex.map((pair) => parseInt(pair, 16)));
  const title = `${chain} ${name} ${number}: pLDDT ${fixed(plddt, 1)}`;
  return el("span", { class: "residue", style: { background, color }, title, "data-token": token }, letter);
}

/** Ten residues and the number of the first, which stay together where lines break. */
function groupNode(residues, chain, palette) {
  return el("span", { class: "residues" },
    el("small", { class: "muted", "aria-hidden": "true" }, String(residues[0].number)),
    el("span", {}, residues.map((residue) => residueNode(residue, chain, palette))));
}

/** Shows the sequences of a sample. */
function showSequences(decoded, palette) {
  const usable = decoded.topology && decoded.tokens;
  const chains = usable ? polymerSequences(decoded) : [];
  byId("sequence-card").hidden = chains.length === 0;
  fill("sequences", chains.map(({ id, kind, residues }) => {
    const groups = [];
    for (let i = 0; i < residues.length; i += GROUP) {
      groups.push(groupNode(residues.slice(i, i + GROUP), id, palette));
    }
    return el("div", { class: "sequence-chain" },
      el("h3", {}, `Chain ${id} `, el("small", { class: "muted" }, `${kind}, ${residues.length} residues`)),
      el("div", { class: "sequence-text" }, groups));
  }));
}

/** Tells `actions`, hover(token or null) and pin(token), what the pointer does. */
function wireSequences(actions) {
  const tokenOf = (event) => event.target.closest("[data-token]")?.dataset.token ?? null;
  const listen = (type, listener) => byId("sequences").addEventListener(type, listener);
  listen("pointerover", (event) => {
    const token = tokenOf(event);
    actions.hover(token === null ? null : Number(token));
  });
  listen("pointerleave", () => actions.hover(null));
  listen("click", (event) => {
    const token = tokenOf(event);
    if (token !== null) actions.pin(Number(token));
  });
}
