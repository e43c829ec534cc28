/** Renders one page of orders as a table, in place: rows that stay are kept. */

import { amountCell, columnDigits } from "./amount.js";
import { copyButton } from "./copy_button.js";
import { el, update } from "./dom.js";
import { formatCount, formatDateTime, formatFullTime } from "./format.js";
import { language, languageTag, t, tEnum } from "./i18n.js";
import { NO_FILTERS, SORT_COLUMNS, isFiltered, viewUrl } from "./url_state.js";

/** @typedef {import("./url_state.js").View} View */
/** @typedef {import("./api.js").Order} Order */
/** @typedef {import("./dom.js").Child} Child */

/** The columns in order. Secondary and tertiary ones are hidden on narrow screens. */
const COLUMNS = [
  { name: "created_at", classes: "" },
  { name: "order_no", classes: "secondary" },
  { name: "package_name", classes: "" },
  { name: "type", classes: "secondary" },
  { name: "source", classes: "tertiary" },
  { name: "status", classes: "" },
  { name: "quantity", classes: "number tertiary" },
  { name: "unit_price", classes: "number tertiary" },
  { name: "actual_amount", classes: "number" },
];

const MAX_SKELETON_ROWS = 25;

/**
 * Render placeholders, or mark the orders that are shown as busy.
 * @param {HTMLElement} container
 * @param {View} view
 */
export function showSkeleton(container, view) {
  container.setAttribute("aria-busy", "true");
  if (container.querySelector("tbody tr:not(.skeleton-row)")) return;
  const cells = () =>
    COLUMNS.map(({ name, classes }) =>
      el("td", { class: `${classes} ${name}`, role: "cell" }, el("span", { class: "skeleton" })),
    );
  const rows = Array.from({ length: Math.min(view.limit, MAX_SKELETON_ROWS) }, (_, index) =>
    el("tr", { class: "skeleton-row", role: "row", "data-key": `skeleton-${index}` }, ...cells()),
  );
  update(container, table(view, t("loading"), rows));
}

/**
 * @param {HTMLElement} container
 * @param {View} view
 * @param {Order[]} orders
 * @param {{page: number, limit: number, total: number, currency?: string}} meta
 * @param {Map<string, string>} marks recent changes by order number
 */
export function showOrders(container, view, orders, meta, marks) {
  container.removeAttribute("aria-busy");
  if (orders.length === 0) {
    update(container, emptyState(view, meta.total));
    return;
  }
  const first = (meta.page - 1) * meta.limit + 1;
  const range = {
    first: formatCount(first),
    last: formatCount(first + orders.length - 1),
    total: formatCount(meta.total),
  };
  const digits = {
    unit_price: columnDigits(orders.map((order) => order.unit_price), meta.currency),
    actual_amount: columnDigits(orders.map((order) => order.actual_amount), meta.currency),
  };
  const rows = orders.map((order, index) => row(view, order, index, digits, marks.get(order.order_no)));
  update(container, table(view, t("table.caption", range), rows, meta.currency));
}

/** @param {HTMLElement} container */
export function clearOrders(container) {
  container.removeAttribute("aria-busy");
  update(container);
}

/**
 * The package name in the current language, else in the other one.
 * @param {Order} order
 */
export function packageName(order) {
  const names = order.package_name ?? {};
  const name = names[language()];
  if (name) return el("span", {}, name);
  const other = language() === "en" ? "zh" : "en";
  return el("span", { lang: languageTag(other) }, names[other] ?? "\u2014");
}

/**
 * A status with the color that it has in the charts.
 * @param {string} status
 */
export function statusLabel(status) {
  return el("span", { class: `swatch ${status}` }, tEnum(status));
}

/**
 * @param {View} view
 * @param {string} caption
 * @param {HTMLElement[]} rows
 * @param {string} [currency]
 */
function table(view, caption, rows, currency) {
  const headers = COLUMNS.map((column) => columnHeader(view, column, currency));
  return el(
    "table",
    // On narrow screens CSS changes `display`, which removes the implicit ARIA roles.
    { role: "table", "data-key": "table" },
    el("caption", { class: "visually-hidden" }, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...headers)),
    el("tbody", { role: "rowgroup" }, ...rows),
  );
}

/**
 * A column header. Clicks sort descending, ascending, then not at all.
 * @param {View} view
 * @param {typeof COLUMNS[number]} column
 * @param {string} [currency]
 */
function columnHeader(view, { name, classes }, currency) {
  const attributes = { scope: "col", role: "columnheader", class: `${classes} ${name}` };
  const unit = name === "created_at" ? view.tz : name.match(/price|amount/) ? currency : "";
  const unitLabel = unit && el("span", { class: "unit" }, ` ${unit}`);
  if (!SORT_COLUMNS.includes(name)) return el("th", attributes, t(name), unitLabel);
  const direction = view.sort === name ? "ascending" : view.sort === `-${name}` ? "descending" : undefined;
  const next = direction === "descending" ? name : direction === "ascending" ? "" : `-${name}`;
  const href = viewUrl({ ...view, sort: next, page: 1 });
  const arrow = direction === "ascending" ? "\u2191" : direction === "descending" ? "\u2193" : "\u2195";
  return el(
    "th",
    { ...attributes, "aria-sort": direction },
    el(
      "a",
      { href, "data-key": `sort-${name}`, title: t("sort.by", { name: t(name) }) },
      t(name),
      el("span", { class: "arrow", "aria-hidden": "true" }, arrow),
    ),
    unitLabel,
  );
}

/**
 * @param {View} view
 * @param {Order} order
 * @param {number} index
 * @param {Record<"unit_price" | "actual_amount", {digits: number, width: number}>} digits
 * @param {string | undefined} mark
 */
function row(view, order, index, digits, mark) {
  const { order_no: number, created_at: createdAt } = order;
  const link = { href: viewUrl({ ...view, order: number }), "aria-label": createdAt ? undefined : number };
  const time = createdAt && {
    datetime: createdAt,
    title: `${formatFullTime(createdAt)} (${createdAt})`,
  };
  const created = time ? el("time", time, formatDateTime(createdAt)) : "\u2014";
  /** @type {Record<string, Child[]>} */
  const cells = {
    created_at: [
      number ? el("a", link, created) : created,
      mark && el("span", { class: "badge" }, t(`change.${mark}`)),
    ],
    order_no: number
      ? [el("code", {}, number), copyButton(number, t("order_no"), { tabindex: -1 })]
      : [el("span", { class: "muted" }, t("table.no_number"))],
    package_name: [packageName(order)],
    type: [tEnum(order.type)],
    source: [tEnum(order.source)],
    status: [statusLabel(order.status)],
    quantity: [order.quantity === undefined ? "\u2014" : formatCount(order.quantity)],
    unit_price: [amountCell(order.unit_price, digits.unit_price)],
    actual_amount: [amountCell(order.actual_amount, digits.actual_amount)],
  };
  return el(
    "tr",
    { class: mark ?? "", role: "row", "data-order": number, "data-key": number || `row-${index}` },
    ...COLUMNS.map(({ name, classes }) =>
      el("td", { class: `${classes} ${name}`, role: "cell" }, ...cells[name]),
    ),
  );
}

/**
 * The text in the place of a table without rows.
 * @param {View} view
 * @param {number} total
 */
function emptyState(view, total) {
  const key = total > 0 ? "table.past_end" : isFiltered(view) ? "table.no_match" : "table.empty";
  const link =
    total > 0
      ? el("a", { href: viewUrl({ ...view, page: 1 }) }, t("page.first"))
      : isFiltered(view) && el("a", { href: viewUrl({ ...view, ...NO_FILTERS, page: 1 }) }, t("clear"));
  return el("div", { class: "empty", "data-key": "empty" }, el("p", {}, t(key)), link && el("p", {}, link));
}
