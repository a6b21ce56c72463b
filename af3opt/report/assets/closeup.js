// Close-ups: what touches in the structure, as lines between atoms and names of residues.

const POLAR = new Set(["N", "O"]);
const HYDROGEN_BOND = 3.5;
const MOST_LINES = 200;
const MOST_LABELS = 24;

/** The two closest atoms of two residues: {from, to, distance}, infinitely far if unknown. */
function closestAtoms({ topology, positions }, first, second) {
  let best = { from: -1, to: -1, distance: Infinity };
  for (let from = topology.firstAtom[first]; from < topology.firstAtom[first + 1]; from++) {
    for (let to = topology.firstAtom[second]; to < topology.firstAtom[second + 1]; to++) {
      const distance = Math.hypot(
        positions[3 * from] - positions[3 * to],
        positions[3 * from + 1] - positions[3 * to + 1],
        positions[3 * from + 2] - positions[3 * to + 2],
      );
      if (distance < best.distance) best = { from, to, distance };
    }
  }
  return best;
}

/** Lines for pairs of residues that touch, the shortest first. */
function contactLines(decoded, pairs) {
  const { topology, positions } = decoded;
  const place = (atom) => ({ x: positions[3 * atom], y: positions[3 * atom + 1], z: positions[3 * atom + 2] });
  return pairs.map(([first, second]) => closestAtoms(decoded, first, second))
    .filter(({ distance }) => Number.isFinite(distance))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, MOST_LINES)
    .map(({ from, to, distance }) => ({
      start: place(from),
      end: place(to),
      polar: distance <= HYDROGEN_BOND && [from, to].every((atom) => POLAR.has(topology.element[atom])),
    }));
}

/** Names of residues at their anchors: [{text, position}]; none where they would cover all. */
function residueLabels({ topology, positions }, residues) {
  if (residues.size > MOST_LABELS) return [];
  return [...residues].map((residue) => {
    const first = topology.firstAtom[residue];
    const last = topology.firstAtom[residue + 1];
    let atom = first;
    for (let i = first; i < last; i++) if (ANCHORS.includes(topology.atomName[i])) atom = i;
    const chain = topology.chains[topology.residueChain[residue]].id;
    return {
      text: `${chain} ${topology.residueName[residue]} ${topology.residueNumber[residue]}`,
      position: { x: positions[3 * atom], y: positions[3 * atom + 1], z: positions[3 * atom + 2] },
    };
  }).filter(({ position }) => Number.isFinite(position.x + position.y + position.z));
}

// Ligands: a row each, and what lies around it.

/** Ligand chains of a sample: {id, residues, names, plddt, contacts: entries of interfaces}. */
function ligandsOf({ sample, topology, atomPlddt }) {
  if (!topology) return [];
  return topology.chains.flatMap(({ id, kind }, chain) => {
    if (kind !== "ligand") return [];
    const residues = topology.residueName.map((_, i) => i).filter((i) => topology.residueChain[i] === chain);
    const atoms = topology.atomName.map((_, i) => i).filter((i) => topology.residueChain[topology.atomResidue[i]] === chain);
    const known = atoms.map((atom) => atomPlddt[atom]).filter(Number.isFinite);
    const interfaces = sample.interfaces.filter(({ chains }) => chains.includes(id));
    return [{
      id, residues, interfaces,
      names: [...new Set(residues.map((residue) => topology.residueName[residue]))].join(", "),
      atoms: atoms.length,
      plddt: known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null,
    }];
  });
}

/** Pairs [residue of the ligand, residue beside it] that touch. */
async function ligandContacts(ligand) {
  const own = new Set(ligand.residues);
  const pairs = await Promise.all(ligand.interfaces.map(decodePairs));
  return pairs.flat().map(([a, b]) => (own.has(a) ? [a, b] : [b, a]));
}

/** Shows the table of ligands; `choose(ligand)` is told what was clicked. */
async function showLigands(decoded, choose) {
  const ligands = ligandsOf(decoded);
  byId("ligands-card").hidden = ligands.length === 0;
  const names = [["Chain"], ["Ligand"], ["Atoms", true], ["Mean pLDDT", true], ["Best ipTM", true],
    ["Lowest PAE (Å)", true], ["Residues within 5 Å", true]];
  const head = names.map(([name, numeric]) => el("th", { scope: "col", class: numeric ? "number" : null }, name));
  const rows = await Promise.all(ligands.map(async (ligand) => {
    const around = new Set((await ligandContacts(ligand)).map(([, residue]) => residue));
    const values = (key) => ligand.interfaces.map((entry) => entry[key]).filter((value) => value !== null);
    const most = (list) => (list.length ? Math.max(...list) : null);
    const least = (list) => (list.length ? Math.min(...list) : null);
    const button = el("button", {
      type: "button", class: "link", "aria-label": `Show ligand ${ligand.id} close up`, on: { click: () => choose(ligand) },
    }, ligand.id);
    return el("tr", { "data-chains": ligand.id }, el("th", { scope: "row" }, button), cell(ligand.names),
      cell(String(ligand.atoms), true), cell(fixed(ligand.plddt, 1), true),
      cell(iptmText(most(values("pair_iptm"))), true), cell(fixed(least(values("pair_pae_min")), 1), true),
      cell(String(around.size), true));
  }));
  fill("ligands", el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
}
