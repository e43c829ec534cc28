/** The headline: revenue, outstanding and lost amounts. Each tile is a link that filters by its statuses. */

import { money } from "./amount.js";
import { previousRange } from "./calendar.js";
import { el, update } from "./dom.js";
import { formatAmount, formatChange, formatCount, formatRange } from "./format.js";
import { t, tCount } from "./i18n.js";
import { STATUS_GROUPS, viewUrl } from "./url_state.js";

/**
 * @typedef {import("./orders_api.js").Overview} Overview
 * @typedef {import("./orders_api.js").Summary} Summary
 * @typedef {import("./orders_api.js").Totals} Totals
 * @typedef {import("./url_state.js").View} View
 */

/** Characters of a value above which it gets smaller digits. */
const LONG = 15;
const GROUPS = /** @type {const} */ (["revenue", "outstanding", "lost"]);

/**
 * @param {HTMLElement} container
 * @param {View} view
 * @param {Overview} overview
 * @param {string | undefined} currency
 */
export function showTiles(container, view, { all, previous }, currency) {
  container.removeAttribute("aria-busy");
  const tiles = GROUPS.map((name) => {
    const status = STATUS_GROUPS[name];
    const isCurrent = view.status.length === status.length && status.every((one) => view.status.includes(one));
    return tile({
      name,
      href: viewUrl({ ...view, status: isCurrent ? [] : status, page: 1 }),
      isCurrent,
      value: money(all.groups[name].actual_amount, currency, false),
      unit: currency,
      lines: [
        tCount("count", all.groups[name].count),
        previous && comparison(view, all.groups[name], previous.groups[name]),
      ],
    });
  });
  const other = all.groups.other;
  const excluded = all.amounts_unknown;
  tiles.push(
    tile({
      name: "all",
      href: viewUrl({ ...view, status: [], page: 1 }),
      isCurrent: view.status.length === 0,
      value: formatCount(all.count),
      lines: [
        el("span", {}, t("total"), " ", money(all.actual_amount, currency)),
        other.count > 0 &&
          el("span", { title: t("group.other.hint") }, `${t("group.other")}: `, money(other.actual_amount, currency)),
        excluded > 0 && tCount("amount.excluded", excluded),
      ],
    }),
  );
  update(container, ...tiles);
}

/** @param {HTMLElement} container */
export function showTilesSkeleton(container) {
  container.setAttribute("aria-busy", "true");
  if (container.querySelector("a.tile")) return;
  showPlaceholders(container, () => el("span", { class: "skeleton" }));
}

/**
 * Tiles without numbers, where the totals cannot be loaded.
 * @param {HTMLElement} container
 */
export function showNoTiles(container) {
  container.removeAttribute("aria-busy");
  showPlaceholders(container, () => "\u2014");
}

/**
 * @param {HTMLElement} container
 * @param {() => import("./dom.js").Child} value
 */
function showPlaceholders(container, value) {
  const placeholder = (/** @type {string} */ name) =>
    el(
      "div",
      { class: `tile ${name}`, "data-key": `no-${name}` },
      el("p", { class: "name" }, t(`group.${name}`)),
      el("p", { class: "value" }, value()),
      el("p", { class: "line" }, "\u00a0"),
    );
  update(container, ...[...GROUPS, "all"].map(placeholder));
}

/**
 * @param {object} options
 * @param {string} options.name
 * @param {string} options.href
 * @param {boolean} options.isCurrent
 * @param {string} [options.unit]
 * @param {Node | string} options.value
 * @param {import("./dom.js").Child[]} options.lines
 */
function tile({ name, href, isCurrent, unit, value, lines }) {
  const length = (typeof value === "string" ? value : (value.textContent ?? "")).length;
  return el(
    "a",
    { class: `tile ${name}`, href, "aria-current": isCurrent && "true", "data-key": name, title: t(`group.${name}.hint`) },
    el("span", { class: "name" }, t(`group.${name}`), unit && ` \u00b7 ${unit}`),
    el("span", { class: length > LONG ? "value long" : "value" }, value),
    ...lines.filter(Boolean).map((line) => el("span", { class: "line" }, line)),
  );
}

/**
 * The change since the period before.
 * @param {View} view
 * @param {Totals} now
 * @param {Totals} before
 */
function comparison(view, now, before) {
  const range = formatRange(previousRange(view));
  const title = t("compare.exact", {
    range,
    amount: formatAmount(before.actual_amount),
    count: formatCount(before.count),
  });
  // Only the percentage is computed from floating-point numbers.
  const ratio = Number(now.actual_amount) / Number(before.actual_amount) - 1;
  const text = Number.isFinite(ratio)
    ? t("compare.change", { change: formatChange(ratio), range })
    : t("compare.none", { range });
  return el("span", { class: "change", title }, text);
}
