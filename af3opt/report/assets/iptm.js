// What an ipTM means, in the bands that AlphaFold's authors give.

const GREY_ZONE = [0.6, 0.8];
const GREY_ZONE_TEXT = "grey zone (0.6–0.8): may be right or wrong";

function inGreyZone(value) {
  return typeof value === "number" && value >= GREY_ZONE[0] && value <= GREY_ZONE[1];
}

/** What to think of an ipTM. */
function iptmMeaning(value) {
  if (typeof value !== "number") return "not defined";
  if (inGreyZone(value)) return GREY_ZONE_TEXT;
  return value > GREY_ZONE[1] ? "above 0.8: confident" : "below 0.6: probably wrong";
}

/** A cell's ipTM; one in the grey zone is marked. */
function iptmText(value, digits = 2) {
  const text = fixed(value, digits);
  return inGreyZone(value) ? el("span", { class: "grey-zone", title: GREY_ZONE_TEXT }, text) : text;
}
