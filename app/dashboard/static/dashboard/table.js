/** One page of orders as a table, with its pager. Draws what it is given and asks nothing. */

import { LIMITS, addressOf, isFiltered } from "./address.js";
import { make, renew } from "./elements.js";
import { amount, count, dateAndTime } from "./formats.js";
import { say, sayValue, spoken } from "./words.js";

/** @typedef {import("./address.js").View} View */
/** @typedef {import("./api.js").Order} Order */

/** Columns in order: those that can be sorted by, and those that go first when room is short. */
const COLUMNS = [
  { name: "created_at", sorted: true, kind: "" },
  { name: "order_no", sorted: true, kind: "minor" },
  { name: "package_name", sorted: false, kind: "" },
  { name: "type", sorted: false, kind: "minor" },
  { name: "source", sorted: false, kind: "minor" },
  { name: "status", sorted: false, kind: "" },
  { name: "quantity", sorted: false, kind: "number minor" },
  { name: "unit_price", sorted: false, kind: "number minor least" },
  { name: "actual_amount", sorted: true, kind: "number" },
];
const SKELETON_ROWS = 8;

/**
 * The table, empty and waiting.
 * @param {HTMLElement} container
 * @param {View} view
 */
export function showSkeleton(container, view) {
  if (container.querySelector("tbody tr:not(.skeleton)")) {
    container.setAttribute("aria-busy", "true");
    return;
  }
  const cells = () =>
    COLUMNS.map(({ name, kind }) =>
      make("td", { class: `${kind} ${name}`, role: "cell" }, make("span", { class: "bone" })),
    );
  const rows = Array.from({ length: SKELETON_ROWS }, () =>
    make("tr", { class: "skeleton", role: "row" }, ...cells()),
  );
  container.setAttribute("aria-busy", "true");
  renew(container, table(view, say("loading"), rows));
}

/**
 * @param {HTMLElement} container
 * @param {View} view
 * @param {Order[]} orders
 * @param {{page: number, limit: number, total: number}} meta
 * @param {Map<string, string>} marks what changed just now, by order number
 */
export function showOrders(container, view, orders, meta, marks) {
  container.removeAttribute("aria-busy");
  if (orders.length === 0) {
    renew(container, nothing(view, meta.total));
    return;
  }
  const first = (meta.page - 1) * meta.limit + 1;
  const span = { first: count(first), last: count(first + orders.length - 1), total: count(meta.total) };
  const rows = orders.map((order) => row(view, order, marks.get(order.order_no)));
  renew(container, table(view, say("table.caption", span), rows));
}

/**
 * @param {HTMLElement} container
 * @param {View} view
 * @param {number} pages
 * @param {(patch: Partial<View>) => void} go
 */
export function showPager(container, view, pages, go) {
  const last = Math.max(pages, 1);
  /** @param {string} name @param {number} page @param {boolean} possible */
  const step = (name, page, possible) => {
    const way = possible
      ? { href: addressOf({ ...view, page }) }
      : { role: "link", "aria-disabled": "true", tabindex: -1 };
    return make("li", {}, make("a", { ...way, "data-key": name }, say(`page.${name}`)));
  };
  const sizes = make(
    "select",
    { "data-key": "size", change: () => go({ limit: Number(sizes.value) }) },
    ...LIMITS.map((limit) => make("option", { value: limit, selected: limit === view.limit }, String(limit))),
  );
  renew(
    container,
    make(
      "ul",
      {},
      step("first", 1, view.page > 1),
      step("prev", Math.min(view.page - 1, last), view.page > 1),
      make("li", { class: "quiet" }, say("page.of", { page: count(view.page), pages: count(pages) })),
      step("next", view.page + 1, view.page < pages),
      step("last", last, view.page < pages),
    ),
    make("label", {}, make("span", {}, say("page.size")), sizes),
  );
}

/**
 * The name of what was ordered, in the language spoken if it has one in it.
 * @param {Order} order
 */
export function packageName(order) {
  const names = order.package_name ?? {};
  const other = spoken() === "en" ? "zh" : "en";
  const own = names[spoken()];
  if (own) return make("span", {}, own);
  return make("span", { lang: other === "zh" ? "zh-Hans" : "en" }, names[other] ?? "\u2014");
}

/**
 * A status, with the colour that the plots give it.
 * @param {string} status
 */
export function statusMark(status) {
  return make("span", { class: `mark ${status}` }, sayValue(status));
}

/**
 * @param {View} view
 * @param {string} caption
 * @param {HTMLElement[]} rows
 */
function table(view, caption, rows) {
  return make(
    "table",
    // Said in so many words, because on a narrow page the rows are laid out as no table.
    { role: "table" },
    make("caption", { class: "unseen" }, caption),
    make(
      "thead",
      { role: "rowgroup" },
      make("tr", { role: "row" }, ...COLUMNS.map((column) => heading(view, column))),
    ),
    make("tbody", { role: "rowgroup" }, ...rows),
  );
}

/**
 * A heading sorts descending first, then ascending, then no more.
 * @param {View} view
 * @param {typeof COLUMNS[number]} column
 */
function heading(view, { name, sorted, kind }) {
  const head = { scope: "col", role: "columnheader", class: `${kind} ${name}` };
  if (!sorted) return make("th", head, say(name));
  const way = view.sort === name ? "ascending" : view.sort === `-${name}` ? "descending" : undefined;
  const next = way === "descending" ? name : way === "ascending" ? "" : `-${name}`;
  const href = addressOf({ ...view, sort: next, page: 1 });
  const arrow = way === "ascending" ? "\u2191" : way === "descending" ? "\u2193" : "\u2195";
  return make(
    "th",
    { ...head, "aria-sort": way },
    make(
      "a",
      { href, "data-key": `sort-${name}`, title: say("sort.by", { name: say(name) }) },
      say(name),
      make("span", { class: "arrow", "aria-hidden": "true" }, arrow),
    ),
  );
}

/**
 * @param {View} view
 * @param {Order} order
 * @param {string | undefined} change
 */
function row(view, order, change) {
  const { order_no: number, created_at: created } = order;
  const open = { href: addressOf({ ...view, order: number }), "data-key": `order-${number}`, class: "open" };
  const when = created ? make("time", { datetime: created }, dateAndTime(created)) : "\u2014";
  /** @type {Record<string, import("./elements.js").Child>} */
  const cells = {
    created_at: number ? make("a", { ...open, "aria-label": created ? undefined : number }, when) : when,
    order_no: number ? make("code", {}, number) : make("span", { class: "quiet" }, say("table.no_number")),
    package_name: packageName(order),
    type: sayValue(order.type),
    source: sayValue(order.source),
    status: statusMark(order.status),
    quantity: order.quantity === undefined ? "\u2014" : count(order.quantity),
    unit_price: order.unit_price === undefined ? "\u2014" : amount(order.unit_price),
    actual_amount: order.actual_amount === undefined ? "\u2014" : amount(order.actual_amount),
  };
  return make(
    "tr",
    { class: change, role: "row", "data-order": number },
    ...COLUMNS.map(({ name, kind }) =>
      make(
        "td",
        { class: `${kind} ${name}`, role: "cell" },
        cells[name],
        name === "created_at" && badge(change),
      ),
    ),
  );
}

/** @param {string | undefined} change */
function badge(change) {
  return change ? make("span", { class: "badge" }, say(`change.${change}`)) : null;
}

/**
 * @param {View} view
 * @param {number} total
 */
function nothing(view, total) {
  const word = total > 0 ? "table.past" : isFiltered(view) ? "table.none" : "table.empty";
  const plain = addressOf({ ...view, status: [], type: [], source: [], q: "", from: "", to: "", page: 1 });
  const way =
    total > 0
      ? make("a", { href: addressOf({ ...view, page: 1 }) }, say("page.first"))
      : isFiltered(view) && make("a", { href: plain }, say("clear"));
  return make("div", { class: "nothing" }, make("p", {}, say(word)), way && make("p", {}, way));
}

/** @param {HTMLElement} container */
export function showNoOrders(container) {
  container.removeAttribute("aria-busy");
  renew(container);
}
