/** Renders one page of orders as a table, and the pagination below it. */

import { el, replaceContent } from "./dom.js";
import { formatAmount, formatCount, formatDateTime } from "./format.js";
import { language, languageTag, t, tEnum } from "./i18n.js";
import { LIMITS, isFiltered, viewUrl } from "./url_state.js";

/** @typedef {import("./url_state.js").View} View */
/** @typedef {import("./api.js").Order} Order */

/** The columns in order. Secondary and tertiary ones are hidden on narrow screens. */
const COLUMNS = [
  { name: "created_at", sortable: true, classes: "" },
  { name: "order_no", sortable: true, classes: "secondary" },
  { name: "package_name", sortable: false, classes: "" },
  { name: "type", sortable: false, classes: "secondary" },
  { name: "source", sortable: false, classes: "secondary" },
  { name: "status", sortable: false, classes: "" },
  { name: "quantity", sortable: false, classes: "number secondary" },
  { name: "unit_price", sortable: false, classes: "number secondary tertiary" },
  { name: "actual_amount", sortable: true, classes: "number" },
];
const SKELETON_ROWS = 8;

/**
 * Render a table of placeholders, or mark the orders that are shown as busy.
 * @param {HTMLElement} container
 * @param {View} view
 */
export function showSkeleton(container, view) {
  if (container.querySelector("tbody tr:not(.skeleton-row)")) {
    container.setAttribute("aria-busy", "true");
    return;
  }
  const cells = () =>
    COLUMNS.map(({ name, classes }) =>
      el("td", { class: `${classes} ${name}`, role: "cell" }, el("span", { class: "skeleton" })),
    );
  const rows = Array.from({ length: SKELETON_ROWS }, () =>
    el("tr", { class: "skeleton-row", role: "row" }, ...cells()),
  );
  container.setAttribute("aria-busy", "true");
  replaceContent(container, table(view, t("loading"), rows));
}

/**
 * @param {HTMLElement} container
 * @param {View} view
 * @param {Order[]} orders
 * @param {{page: number, limit: number, total: number}} meta
 * @param {Map<string, string>} changes recent changes by order number
 */
export function showOrders(container, view, orders, meta, changes) {
  container.removeAttribute("aria-busy");
  if (orders.length === 0) {
    replaceContent(container, emptyState(view, meta.total));
    return;
  }
  const first = (meta.page - 1) * meta.limit + 1;
  const range = {
    first: formatCount(first),
    last: formatCount(first + orders.length - 1),
    total: formatCount(meta.total),
  };
  const rows = orders.map((order) => row(view, order, changes.get(order.order_no)));
  replaceContent(container, table(view, t("table.caption", range), rows));
}

/** @param {HTMLElement} container */
export function clearOrders(container) {
  container.removeAttribute("aria-busy");
  replaceContent(container);
}

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
    return el("li", {}, el("a", { ...attributes, "data-key": name }, t(`page.${name}`)));
  };
  const sizes = el(
    "select",
    { "data-key": "size", change: () => navigate({ limit: Number(sizes.value) }) },
    ...LIMITS.map((limit) => el("option", { value: limit, selected: limit === view.limit }, String(limit))),
  );
  const position = { page: formatCount(view.page), pages: formatCount(pages) };
  replaceContent(
    container,
    el(
      "ul",
      {},
      step("first", 1, view.page > 1),
      step("prev", Math.min(view.page - 1, last), view.page > 1),
      el("li", { class: "muted" }, t("page.of", position)),
      step("next", view.page + 1, view.page < pages),
      step("last", last, view.page < pages),
    ),
    el("label", {}, el("span", {}, t("page.size")), sizes),
  );
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
 * A status with the colour that it has in the charts.
 * @param {string} status
 */
export function statusLabel(status) {
  return el("span", { class: `swatch ${status}` }, tEnum(status));
}

/**
 * @param {View} view
 * @param {string} caption
 * @param {HTMLElement[]} rows
 */
function table(view, caption, rows) {
  return el(
    "table",
    // On narrow screens CSS changes `display`, which removes the implicit ARIA roles.
    { role: "table" },
    el("caption", { class: "visually-hidden" }, caption),
    el(
      "thead",
      { role: "rowgroup" },
      el("tr", { role: "row" }, ...COLUMNS.map((column) => columnHeader(view, column))),
    ),
    el("tbody", { role: "rowgroup" }, ...rows),
  );
}

/**
 * A column header. Clicks sort descending, ascending, then not at all.
 * @param {View} view
 * @param {typeof COLUMNS[number]} column
 */
function columnHeader(view, { name, sortable, classes }) {
  const attributes = { scope: "col", role: "columnheader", class: `${classes} ${name}` };
  if (!sortable) return el("th", attributes, t(name));
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
  );
}

/**
 * @param {View} view
 * @param {Order} order
 * @param {string | undefined} change
 */
function row(view, order, change) {
  const { order_no: number, created_at: createdAt } = order;
  const link = {
    href: viewUrl({ ...view, order: number }),
    "data-key": `order-${number}`,
    "aria-label": createdAt ? undefined : number,
  };
  const created = createdAt ? el("time", { datetime: createdAt }, formatDateTime(createdAt)) : "\u2014";
  /** @type {Record<string, import("./dom.js").Child>} */
  const cells = {
    created_at: number ? el("a", link, created) : created,
    order_no: number ? el("code", {}, number) : el("span", { class: "muted" }, t("table.no_number")),
    package_name: packageName(order),
    type: tEnum(order.type),
    source: tEnum(order.source),
    status: statusLabel(order.status),
    quantity: order.quantity === undefined ? "\u2014" : formatCount(order.quantity),
    unit_price: order.unit_price === undefined ? "\u2014" : formatAmount(order.unit_price),
    actual_amount: order.actual_amount === undefined ? "\u2014" : formatAmount(order.actual_amount),
  };
  return el(
    "tr",
    { class: change, role: "row", "data-order": number },
    ...COLUMNS.map(({ name, classes }) =>
      el(
        "td",
        { class: `${classes} ${name}`, role: "cell" },
        cells[name],
        name === "created_at" && changeBadge(change),
      ),
    ),
  );
}

/** @param {string | undefined} change */
function changeBadge(change) {
  return change ? el("span", { class: "badge" }, t(`change.${change}`)) : null;
}

/**
 * The text in the place of a table without rows.
 * @param {View} view
 * @param {number} total
 */
function emptyState(view, total) {
  const key = total > 0 ? "table.past_end" : isFiltered(view) ? "table.no_match" : "table.empty";
  const unfiltered = viewUrl({ ...view, status: [], type: [], source: [], q: "", from: "", to: "", page: 1 });
  const link =
    total > 0
      ? el("a", { href: viewUrl({ ...view, page: 1 }) }, t("page.first"))
      : isFiltered(view) && el("a", { href: unfiltered }, t("clear"));
  return el("div", { class: "empty" }, el("p", {}, t(key)), link && el("p", {}, link));
}
