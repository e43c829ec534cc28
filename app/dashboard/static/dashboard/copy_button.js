/** Buttons that copy a text to the clipboard. */

import { el, svg } from "./dom.js";
import { t } from "./i18n.js";

const DONE_MS = 2000;

/**
 * A button with an icon, named by its caption if it has one. Null if the browser has no clipboard, as on pages without TLS.
 * @param {string} text what is copied
 * @param {string} name what it is, for screen readers
 * @param {Record<string, unknown>} [properties]
 * @param {string} [caption] shown beside the icon
 */
export function copyButton(text, name, properties = {}, caption = "") {
  if (!navigator.clipboard) return null;
  const label = caption ? null : t("copy.label", { name });
  const click = async (/** @type {MouseEvent} */ event) => {
    const button = /** @type {HTMLElement} */ (event.currentTarget);
    await navigator.clipboard.writeText(text);
    button.classList.add("done");
    button.setAttribute("aria-label", t("copy.done"));
    setTimeout(() => {
      button.classList.remove("done");
      if (label) button.setAttribute("aria-label", label);
      else button.removeAttribute("aria-label");
    }, DONE_MS);
  };
  const icon = svg(
    "svg",
    { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
    svg("path", { class: "icon-copy", d: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z" }),
    svg("path", { class: "icon-done", d: "M3 8.5l3.5 3.5L13 4.5" }),
  );
  return el(
    "button",
    { type: "button", class: caption ? "copy labelled" : "copy", title: label, "aria-label": label, click, ...properties },
    icon,
    caption && el("span", {}, caption),
  );
}
