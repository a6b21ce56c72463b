// Building elements. Text only ever enters the page as text nodes: nothing that comes
// from a result file is parsed as HTML.

const byId = (id) => document.getElementById(id);

/** Creates an element; `attributes.on` maps event names to listeners. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [type, listener] of Object.entries(value)) node.addEventListener(type, listener);
    } else if (name === "style") {
      for (const [key, entry] of Object.entries(value)) node.style.setProperty(key, entry);
    } else {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Replaces the content of the element with the given id. */
function fill(id, ...children) {
  byId(id).replaceChildren(...children.flat().filter((child) => child !== null));
}

const DASH = "–";

/** A number with fixed digits, or a dash. */
function fixed(value, digits = 2) {
  return typeof value === "number" && Number.isFinite(value) ? value.toFixed(digits) : DASH;
}

/** Seconds as people say them. */
function duration(seconds) {
  if (!Number.isFinite(seconds)) return DASH;
  if (seconds < 1) return `${(seconds * 1000).toFixed(0)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const minutes = `${Math.floor(whole / 60) % 60} min`;
  if (whole < 3600) return `${minutes} ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${minutes}`;
}

/** A cell of a data table; numbers line up on the right. */
function cell(content, numeric = false) {
  return el("td", { class: numeric ? "number" : null }, content);
}

/** Choices of the reader; they outlive the page where the browser allows it. */
const remembered = new Map();

function getPreference(name) {
  if (remembered.has(name)) return remembered.get(name);
  try {
    return localStorage.getItem(`af3opt-report-${name}`);
  } catch {
    return null; // some browsers have no storage for local files
  }
}

function setPreference(name, value) {
  remembered.set(name, value);
  try {
    localStorage.setItem(`af3opt-report-${name}`, value);
  } catch {
    // The choice lasts as long as the page.
  }
}

const DATA = JSON.parse(byId("data").textContent);
