// From the packed payload to typed arrays. Samples are unpacked when first shown.

const NO_COORDINATE = -(2 ** 31);
const NO_PLDDT = 65535;
// Where a residue is, for distances and markers.
const ANCHORS = ["CA", "C1'", "P"];

async function inflate(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const int32 = async (text) => new Int32Array((await inflate(text)).buffer);

async function words(packed) {
  const index = await int32(packed.index);
  return Array.from(index, (i) => packed.words[i]);
}

async function decodeTopology(packed) {
  const topology = {
    chains: packed.chains,
    residueChain: await int32(packed.residue_chain),
    residueNumber: await int32(packed.residue_number),
    residueName: await words(packed.residue_name),
    atomResidue: await int32(packed.atom_residue),
    atomName: await words(packed.atom_name),
    element: await words(packed.element),
  };
  topology.firstAtom = new Int32Array(topology.residueName.length + 1).fill(topology.atomName.length);
  for (let atom = topology.atomName.length - 1; atom >= 0; atom--) {
    topology.firstAtom[topology.atomResidue[atom]] = atom;
  }
  return topology;
}

async function decodeTokens(packed) {
  const tokens = {
    chainIds: packed.chain_ids,
    chain: await int32(packed.chain),
    number: await int32(packed.number),
    residue: await int32(packed.residue),
    atom: await int32(packed.atom),
  };
  tokens.count = tokens.chain.length;
  tokens.segments = [];
  for (let start = 0, i = 1; i <= tokens.count; i++) {
    if (i === tokens.count || tokens.chain[i] !== tokens.chain[start]) {
      tokens.segments.push({ chain: tokens.chain[start], start, end: i });
      start = i;
    }
  }
  return tokens;
}

async function decodePositions(text, count) {
  const differences = await int32(text);
  const positions = new Float32Array(3 * count).fill(NaN);
  for (let axis = 0; axis < 3; axis++) {
    let sum = 0;
    for (let atom = 0; atom < count; atom++) {
      const difference = differences[axis * count + atom];
      if (difference === NO_COORDINATE) continue;
      sum += difference;
      positions[3 * atom + axis] = sum / 100;
    }
  }
  return positions;
}

async function decodePlddt(text) {
  const steps = new Uint16Array((await inflate(text)).buffer);
  return Float32Array.from(steps, (step) => (step === NO_PLDDT ? NaN : step / 100));
}

async function decodePae(packed) {
  const { side, step, missing } = packed;
  const values = await inflate(packed.values);
  for (let row = 0; row < side; row++) {
    for (let i = row * side + 1; i < (row + 1) * side; i++) {
      values[i] = (values[i] + values[i - 1]) & 255;
    }
  }
  const at = (row, column) => {
    const value = values[row * side + column];
    return value === missing ? NaN : value * step;
  };
  return { side, step, missing, values, at, binSize: packed.bin_size, tokens: packed.tokens };
}

const decodedTables = new Map();

/** Decodes an entry of a shared table once. */
function shared(table, index, decoder) {
  const key = `${table} ${index}`;
  if (!decodedTables.has(key)) decodedTables.set(key, decoder(DATA[table][index]));
  return decodedTables.get(key);
}

/** Unpacks one sample: what it lacks is null. */
async function decodeSample(sample) {
  const known = (value) => value !== null && value !== undefined;
  const topology = known(sample.topology)
    ? await shared("topologies", sample.topology, decodeTopology)
    : null;
  const tokens = known(sample.tokens) ? await shared("tokens", sample.tokens, decodeTokens) : null;
  const decoded = {
    sample,
    topology,
    tokens,
    positions: topology && (await decodePositions(sample.coordinates, topology.atomName.length)),
    atomPlddt: topology && (await decodePlddt(sample.atom_plddt)),
    tokenPlddt: known(sample.token_plddt) ? await decodePlddt(sample.token_plddt) : null,
    pae: known(sample.pae) ? await decodePae(sample.pae) : null,
  };
  decoded.tokenOfAtom = topology && tokens ? tokensOfAtoms(topology, tokens) : null;
  return decoded;
}

/** Residues that touch, as pairs of indices: one of the first chain, one of the second. */
async function decodePairs(packed) {
  const indices = await int32(packed.residues);
  const half = indices.length / 2;
  return Array.from({ length: half }, (_, i) => [indices[i], indices[half + i]]);
}

function tokensOfAtoms(topology, tokens) {
  const owner = new Int32Array(topology.atomName.length).fill(-1);
  for (let token = 0; token < tokens.count; token++) {
    if (tokens.atom[token] >= 0) {
      owner[tokens.atom[token]] = token;
    } else if (tokens.residue[token] >= 0) {
      const residue = tokens.residue[token];
      owner.fill(token, topology.firstAtom[residue], topology.firstAtom[residue + 1]);
    }
  }
  return owner;
}

/** The atom that stands for a token, or -1. */
function anchorAtom({ topology, tokens }, token) {
  if (!topology || tokens.residue[token] < 0) return -1;
  if (tokens.atom[token] >= 0) return tokens.atom[token];
  const first = topology.firstAtom[tokens.residue[token]];
  const last = topology.firstAtom[tokens.residue[token] + 1];
  for (const name of ANCHORS) {
    for (let atom = first; atom < last; atom++) {
      if (topology.atomName[atom] === name) return atom;
    }
  }
  return first < last ? first : -1;
}

/** What to call a token: chain, residue and, in ligands, the atom. */
function tokenName({ topology, tokens }, token) {
  const chain = tokens.chainIds[tokens.chain[token]];
  const residue = tokens.residue[token];
  const name = topology && residue >= 0 ? `${topology.residueName[residue]} ` : "";
  const atom = topology && tokens.atom[token] >= 0 ? ` ${topology.atomName[tokens.atom[token]]}` : "";
  return `${chain} ${name}${tokens.number[token]}${atom}`;
}
