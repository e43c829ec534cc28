/** The list of time zones. */

import { el } from "./dom.js";
import { viewerZone } from "./format.js";

/**
 * Fill the list once, with the viewer's zone and UTC first.
 * @param {HTMLSelectElement} select
 * @param {(zone: string) => void} onChange
 */
export function buildZoneChooser(select, onChange) {
  const zones = new Set([viewerZone(), "UTC", ...Intl.supportedValuesOf("timeZone")]);
  select.append(...[...zones].map((zone) => el("option", { value: zone }, zone)));
  select.addEventListener("change", () => onChange(select.value));
}

/**
 * @param {HTMLSelectElement} select
 * @param {string} zone added if it is not in the list
 */
export function showZone(select, zone) {
  if (![...select.options].some(({ value }) => value === zone)) {
    select.prepend(el("option", { value: zone }, zone));
  }
  select.value = zone;
}
