// The structure in three dimensions (3Dmol.js). Residue and chain names do not reach the
// viewer as they are: it gets a file of our own with plain labels, and atoms are looked up
// by their position in it.

const ROTATION_STEP = 10;
// Atoms looked at to fit the model, and the share of the picture it then takes.
const MAX_FITTED = 600;
const FITTED_SHARE = 0.9;
// How much of that a close-up takes: what lies around it stays in sight.
const CLOSE_UP_SHARE = 0.75;
// Perspective: the size on screen is not quite proportional to the zoom.
const FITTING_PASSES = 3;
const REGION_COLOURS = { row: "#e69f00", column: "#7b3fa0", both: "#cc79a7", rest: "#b8bec6" };
const CONTACT_COLOURS = { polar: "#2563eb", other: "#808890" };
const HETERO = { N: "#3050f8", O: "#ff0d0d", S: "#e0c020", P: "#ff8000", F: "#50c878", Cl: "#1fb01f" };

const plain = (word) => word.replace(/[^A-Za-z0-9'*+.-]/g, "_") || "_";
const quoted = (word) => (word.includes("'") ? `"${plain(word)}"` : plain(word));

/** mmCIF text of the atoms that have a position, and which atom each one is. */
function viewerFile({ topology, positions }) {
  const lines = [
    "data_model", "loop_", "_atom_site.group_PDB", "_atom_site.id", "_atom_site.type_symbol",
    "_atom_site.label_atom_id", "_atom_site.label_comp_id", "_atom_site.auth_asym_id",
    "_atom_site.auth_seq_id", "_atom_site.Cartn_x", "_atom_site.Cartn_y", "_atom_site.Cartn_z",
  ];
  const atoms = [];
  for (let atom = 0; atom < topology.atomName.length; atom++) {
    const place = positions.subarray(3 * atom, 3 * atom + 3);
    if (!place.every(Number.isFinite)) continue;
    const residue = topology.atomResidue[atom];
    const chain = topology.residueChain[residue];
    const group = topology.chains[chain].kind === "ligand" ? "HETATM" : "ATOM";
    lines.push([
      group, atoms.length + 1, plain(topology.element[atom]), quoted(topology.atomName[atom]),
      quoted(topology.residueName[residue]), `c${chain}`, topology.residueNumber[residue],
      ...Array.from(place, (value) => value.toFixed(2)),
    ].join(" "));
    atoms.push(atom);
  }
  lines.push("#", "");
  return { text: lines.join("\n"), atoms };
}

const extent = (values) => [Math.min(...values), Math.max(...values)];

class StructureView {
  /** `onHover(token or null)` follows the pointer, `onPick(token)` a click. */
  constructor(container, onHover, onPick) {
    this.container = container;
    this.onHover = onHover;
    this.onPick = onPick;
    this.decoded = null;
    this.sideChains = false;
    this.colourBy = "plddt";
    this.region = null;
    this.focus = null;
    this.marks = [];
    this.lines = [];
    this.viewer = StructureView.create(container);
    if (!this.viewer) return;
    new ResizeObserver(() => this.viewer.resize()).observe(container);
    container.addEventListener("keydown", (event) => this.onKey(event));
  }

  static create(container) {
    try {
      const viewer = window["3Dmol"].createViewer(container, {
        backgroundAlpha: 0,
        cartoonQuality: 10,
        disableFog: true, // fog would change the colours that carry the meaning
        hoverDuration: 40,
      });
      viewer.setViewStyle({ style: "outline", color: "#20262e", width: 0.035 });
      return viewer;
    } catch {
      return null;
    }
  }

  get available() {
    return Boolean(this.viewer);
  }

  /** Shows a sample; the point of view stays when the molecule is the same. */
  show(decoded, palette) {
    const keepView = this.decoded && this.decoded.topology === decoded.topology;
    const view = keepView ? this.viewer.getView() : null;
    this.decoded = decoded;
    this.viewer.removeAllModels();
    this.viewer.removeAllShapes();
    this.viewer.removeAllLabels();
    this.marks = [];
    this.lines = [];
    const file = viewerFile(decoded);
    this.atoms = file.atoms;
    this.model = file.atoms.length ? this.viewer.addModel(file.text, "cif") : null;
    if (this.model) {
      this.model.setHoverable({}, true, (atom) => this.hover(atom), () => this.onHover(null));
      this.model.setClickable({}, true, (atom) => this.pick(atom));
    }
    this.restyle(palette);
    if (view) this.viewer.setView(view);
    else this.reset();
  }

  restyle(palette = this.palette) {
    this.palette = palette;
    if (!this.model) {
      this.viewer.render();
      return;
    }
    const { topology } = this.decoded;
    const colorfunc = (atom) => this.colourOf(this.atoms[atom.serial]);
    const elements = (atom) => HETERO[atom.elem] ?? colorfunc(atom);
    const ligands = topology.chains.flatMap((chain, i) => (chain.kind === "ligand" ? [`c${i}`] : []));
    this.model.setStyle({}, { cartoon: { colorfunc, arrows: true, thickness: 0.6 } });
    if (this.sideChains) this.model.setStyle({}, { stick: { radius: 0.12, colorfunc: elements } }, true);
    const ball = { stick: { radius: 0.2, colorfunc: elements }, sphere: { scale: 0.28, colorfunc: elements } };
    if (ligands.length) this.model.setStyle({ chain: ligands }, ball);
    if (this.focus) {
      const focused = this.atomsOf(this.focus.rows, this.focus.columns);
      this.model.setStyle({ serial: focused }, { stick: { radius: 0.14, colorfunc: elements } }, true);
    }
    const modified = this.modifiedAtoms();
    if (modified.length) this.model.setStyle({ serial: modified }, { stick: ball.stick }, true);
    this.viewer.render();
  }

  /** Serials of atoms in modified residues of polymers: those with tokens of their own. */
  modifiedAtoms() {
    const { topology, tokens, tokenOfAtom } = this.decoded;
    return this.atoms.flatMap((atom, serial) => {
      const { kind } = topology.chains[topology.residueChain[topology.atomResidue[atom]]];
      const token = kind === "ligand" || !tokenOfAtom ? -1 : tokenOfAtom[atom];
      return token >= 0 && tokens.atom[token] === atom ? [serial] : [];
    });
  }

  /** Serials of the atoms of residues, given as sets of indices. */
  atomsOf(...residues) {
    const { atomResidue } = this.decoded.topology;
    return this.atoms.flatMap((atom, serial) =>
      residues.some((set) => set.has(atomResidue[atom])) ? [serial] : []);
  }

  /** Shows residues that touch close up, in two colours; null shows the whole model. */
  focusOn(pairs, named = new Set()) {
    this.focus = pairs && { rows: new Set(pairs.map(([a]) => a)), columns: new Set(pairs.map(([, b]) => b)) };
    this.restyle();
    if (!this.model) return;
    this.drawContacts(pairs ?? [], named);
    const atoms = pairs ? this.atomsOf(this.focus.rows, this.focus.columns) : [];
    if (atoms.length) this.zoomOn(atoms);
    else this.reset();
  }

  /** Fits atoms, given by serial, into the middle of the picture, with what is near around them. */
  zoomOn(serials) {
    const { positions } = this.decoded;
    const points = serials.map((serial) => {
      const [x, y, z] = positions.subarray(3 * this.atoms[serial], 3 * this.atoms[serial] + 3);
      return { x, y, z };
    });
    this.viewer.zoomTo({ serial: serials });
    for (let pass = 0; pass < FITTING_PASSES; pass++) this.viewer.zoom(this.roomAround(points));
    this.viewer.zoom(CLOSE_UP_SHARE);
    this.viewer.render();
  }

  /** Dashed lines between residues that touch, blue where a hydrogen bond is possible. */
  drawContacts(pairs, named) {
    for (const line of this.lines) this.viewer.removeShape(line);
    this.viewer.removeAllLabels();
    this.lines = contactLines(this.decoded, pairs).map(({ start, end, polar }) =>
      this.viewer.addCylinder({
        start, end, radius: polar ? 0.09 : 0.04, dashed: true, color: polar ? CONTACT_COLOURS.polar : CONTACT_COLOURS.other,
      }));
    this.container.dataset.lines = this.lines.length;
    for (const { text, position } of residueLabels(this.decoded, named)) {
      this.viewer.addLabel(text, {
        position, fontSize: 11, fontColor: "black", backgroundColor: "white", backgroundOpacity: 0.7, inFront: true,
      });
    }
    this.viewer.render();
  }

  colourOf(atom) {
    const { topology, atomPlddt, tokenOfAtom } = this.decoded;
    if (this.focus) {
      const residue = topology.atomResidue[atom];
      const row = this.focus.rows.has(residue);
      return REGION_COLOURS[row ? "row" : this.focus.columns.has(residue) ? "column" : "rest"];
    }
    if (this.region && tokenOfAtom) {
      const token = tokenOfAtom[atom];
      const inside = ([start, end]) => token >= start && token < end;
      const row = inside(this.region.rows);
      const column = inside(this.region.columns);
      return REGION_COLOURS[row && column ? "both" : row ? "row" : column ? "column" : "rest"];
    }
    if (this.colourBy === "chain") {
      const { id } = topology.chains[topology.residueChain[topology.atomResidue[atom]]];
      return chainColour(Math.max(this.decoded.sample.chain_ids.indexOf(id), 0));
    }
    return plddtColour(atomPlddt[atom], this.palette);
  }

  /** Marks tokens with balls, and two of them with a dashed line. */
  mark(tokens) {
    for (const shape of this.marks) this.viewer.removeShape(shape);
    const points = tokens.map((token) => this.point(token)).filter(Boolean);
    const colours = [REGION_COLOURS.row, REGION_COLOURS.column];
    this.marks = points.map((center, i) =>
      this.viewer.addSphere({ center, radius: 1.5, color: colours[i], opacity: 0.85 }));
    if (points.length === 2) {
      const [start, end] = points;
      this.marks.push(this.viewer.addCylinder({ start, end, radius: 0.15, dashed: true, color: "#808890" }));
    }
    this.viewer.render();
  }

  point(token) {
    const atom = anchorAtom(this.decoded, token);
    if (atom < 0) return null;
    const [x, y, z] = this.decoded.positions.subarray(3 * atom, 3 * atom + 3);
    return Number.isFinite(x + y + z) ? { x, y, z } : null;
  }

  hover(atom) {
    this.onHover(this.tokenAt(atom));
  }

  pick(atom) {
    const token = this.tokenAt(atom);
    if (token !== null) this.onPick(token);
  }

  tokenAt(atom) {
    const owner = this.decoded.tokenOfAtom;
    const token = owner ? owner[this.atoms[atom.serial]] : -1;
    return token >= 0 ? token : null;
  }

  /** Turns the model back and fits it into the picture. */
  reset() {
    this.viewer.resize(); // the container may have been hidden when the viewer was made
    this.viewer.zoomTo();
    const points = this.samplePoints();
    if (points.length) {
      const middle = ["x", "y", "z"].map((axis) => {
        const [low, high] = extent(points.map((point) => point[axis]));
        return (low + high) / 2;
      });
      const distance = this.viewer.getView()[3];
      this.viewer.setView([...middle.map((value) => -value), distance, 0, 0, 0, 1]);
      for (let pass = 0; pass < FITTING_PASSES; pass++) this.viewer.zoom(this.roomAround(points));
    }
    this.viewer.render();
  }

  /** Positions of atoms, evenly picked, enough to know the model's extent. */
  samplePoints() {
    const { positions } = this.decoded;
    const step = Math.max(1, Math.floor(this.atoms.length / MAX_FITTED));
    const points = [];
    for (let i = 0; i < this.atoms.length; i += step) {
      const [x, y, z] = positions.subarray(3 * this.atoms[i], 3 * this.atoms[i] + 3);
      points.push({ x, y, z });
    }
    return points;
  }

  /** How much larger the model can be drawn before it leaves the picture. */
  roomAround(points) {
    this.viewer.render(); // modelToScreen uses the matrices of the last picture
    const box = this.container.getBoundingClientRect();
    const centre = { x: box.left + window.scrollX + box.width / 2, y: box.top + window.scrollY + box.height / 2 };
    const shares = this.viewer.modelToScreen(points).map(({ x, y }) =>
      Math.max(Math.abs(x - centre.x) / box.width, Math.abs(y - centre.y) / box.height));
    const used = 2 * Math.max(...shares);
    return used > 0 ? Math.min(FITTED_SHARE / used, 3) : 1;
  }

  onKey(event) {
    const turns = { ArrowLeft: [-1, "y"], ArrowRight: [1, "y"], ArrowUp: [-1, "x"], ArrowDown: [1, "x"] };
    const turn = turns[event.key];
    if (turn) this.viewer.rotate(turn[0] * ROTATION_STEP, turn[1]);
    else if (event.key === "+" || event.key === "=") this.viewer.zoom(1.15);
    else if (event.key === "-") this.viewer.zoom(1 / 1.15);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.viewer.render();
  }

  /** The picture as a PNG data address, background transparent. */
  picture() {
    return this.viewer.pngURI();
  }
}
