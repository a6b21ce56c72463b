// Files made in the page and handed to the browser: nothing is asked of a server.

function saveFile(name, content, type) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  el("a", { href: address, download: name.replace(/[^\w.-]/g, "_") }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // the browser may still be reading
}

const saveJson = (name, value) => saveFile(name, `${JSON.stringify(value, null, 1)}\n`, "application/json");

/** A cell of CSV; text that a spreadsheet would run as a formula gets an apostrophe in front. */
function csvCell(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** CSV text of rows of cells. */
const csvText = (rows) => rows.map((row) => `${row.map(csvCell).join(",")}\n`).join("");
