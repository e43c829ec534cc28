/** The pagination below the table. */

import { el, update } from "./dom.js";
import { formatCount } from "./format.js";
import { t } from "./i18n.js";
import { LIMITS, viewUrl } from "./url_state.js";

/** @typedef {import("./url_state.js").View} View */

/**
 * @param {HTMLElement} container
 * @param {View} view
 * @param {number} pages
 * @param {(patch: Partial<View>) => void} navigate
 */
export function showPager(container, view, pages, navigate) {
  const last = Math.max(pages, 1);
  /** @param {string} name @param {number} page @param {boolean} enabled */
  const step = (name, page, enabled) => {
    const attributes = enabled
      ? { href: viewUrl({ ...view, page }) }
      : { role: "link", "aria-disabled": "true", tabindex: -1 };
    return el("li", {}, el("a", attributes, t(`page.${name}`)));
  };
  const number = el("input", {
    type: "text",
    inputmode: "numeric",
    size: Math.max(2, String(last).length),
    "aria-label": t("page.number"),
    change: (/** @type {Event} */ event) => {
      const input = /** @type {HTMLInputElement} */ (event.currentTarget);
      const page = Math.min(Math.max(Math.trunc(Number(input.value)) || view.page, 1), last);
      input.value = String(page);
      navigate({ page });
    },
  });
  const sizes = el(
    "select",
    { change: (/** @type {Event} */ event) => navigate({ limit: Number(valueOf(event)), page: 1 }) },
    ...LIMITS.map((limit) => el("option", { value: limit }, String(limit))),
  );
  update(
    container,
    el(
      "ul",
      {},
      step("first", 1, view.page > 1),
      step("prev", Math.min(view.page - 1, last), view.page > 1),
      el("li", { class: "muted" }, number, el("span", {}, t("page.of", { pages: formatCount(pages) }))),
      step("next", view.page + 1, view.page < pages),
      step("last", last, view.page < pages),
    ),
    el("label", {}, el("span", {}, t("page.size")), sizes),
  );
  const input = /** @type {HTMLInputElement} */ (container.querySelector("input"));
  if (document.activeElement !== input) input.value = String(view.page);
  /** @type {HTMLSelectElement} */ (container.querySelector("select")).value = String(view.limit);
}

/** @param {Event} event */
function valueOf(event) {
  return /** @type {HTMLSelectElement} */ (event.currentTarget).value;
}
