/** The choices above the chart: what it measures, and the interval. */

import { INTERVALS } from "./calendar.js";
import { el, update } from "./dom.js";
import { t } from "./i18n.js";

/** @typedef {import("./url_state.js").View} View */

/**
 * @param {HTMLElement} container
 * @param {View} view
 * @param {(patch: Partial<View>) => void} navigate
 */
export function showChartChoices(container, view, navigate) {
  update(
    container,
    choice("measure", ["amount", "count"], view.measure || "amount", (value) =>
      navigate({ measure: value === "count" ? value : "" }),
    ),
    choice("interval", ["auto", ...INTERVALS], view.interval || "auto", (value) =>
      navigate({ interval: value === "auto" ? "" : value }),
    ),
  );
}

/**
 * @param {string} name
 * @param {string[]} values
 * @param {string} current
 * @param {(value: string) => void} onChoose
 */
function choice(name, values, current, onChoose) {
  const buttons = values.map((value) =>
    el(
      "button",
      { type: "button", "aria-pressed": value === current ? "true" : "false", click: () => onChoose(value) },
      t(`${name}.${value}`),
    ),
  );
  return el("div", { class: "segments", role: "group", "aria-label": t(name) }, ...buttons);
}
