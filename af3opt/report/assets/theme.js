// Dark and light: the system's wish, until the reader chooses.

const themeListeners = [];
const systemDark = matchMedia("(prefers-color-scheme: dark)");

/** Registers something to redraw when the theme changes. */
function onThemeChange(listener) {
  themeListeners.push(listener);
}

/** The value of a CSS custom property of the current theme. */
function themeColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function applyTheme() {
  const theme = getPreference("theme") ?? (systemDark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = theme;
  const button = byId("theme");
  const dark = theme === "dark";
  button.setAttribute("aria-pressed", String(dark));
  button.textContent = dark ? "Light theme" : "Dark theme";
  for (const listener of themeListeners) listener();
}

byId("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme === "dark";
  setPreference("theme", dark ? "light" : "dark");
  applyTheme();
});
systemDark.addEventListener("change", applyTheme);
applyTheme();
