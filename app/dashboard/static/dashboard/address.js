/** What is asked for, as it stands in the page's address, so that a link shows the same. Pure. */

/**
 * @typedef {object} View
 * @property {string[]} status
 * @property {string[]} type
 * @property {string[]} source
 * @property {string} from the first day, as 2026-11-23, or empty
 * @property {string} to the last day, or empty
 * @property {string} q
 * @property {string} sort
 * @property {number} page
 * @property {number} limit
 * @property {string} order the number of the one that is shown alone, or empty
 * @property {string} lang
 */

export const LIMITS = [10, 20, 50];
export const CHOICES = /** @type {const} */ (["status", "type", "source"]);
const DAY = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;
const SORTS = ["created_at", "actual_amount", "order_no"].flatMap((name) => [name, `-${name}`]);

/** @type {Readonly<View>} */
export const PLAIN = Object.freeze({
  status: [],
  type: [],
  source: [],
  from: "",
  to: "",
  q: "",
  sort: "",
  page: 1,
  limit: 20,
  order: "",
  lang: "",
});

/**
 * The view that an address names; what it cannot name is left out.
 * @param {string} search
 * @returns {View}
 */
export function readAddress(search) {
  const given = new URLSearchParams(search);
  /** @param {string} name @param {(text: string) => boolean} good */
  const one = (name, good) => {
    const text = given.get(name) ?? "";
    return good(text) ? text : "";
  };
  const isDay = (/** @type {string} */ text) => DAY.test(text) && !Number.isNaN(Date.parse(text));
  const page = Number(one("page", (text) => /^[1-9][0-9]{0,5}$/.test(text)));
  const limit = Number(given.get("limit"));
  return {
    status: words(given.getAll("status")),
    type: words(given.getAll("type")),
    source: words(given.getAll("source")),
    from: one("from", isDay),
    to: one("to", isDay),
    q: (given.get("q") ?? "").slice(0, 100),
    sort: one("sort", (text) => SORTS.includes(text)),
    page: page || 1,
    limit: LIMITS.includes(limit) ? limit : PLAIN.limit,
    order: one("order", (text) => /^(?=.*[0-9])[0-9A-Za-z_-]{1,64}$/.test(text)),
    lang: one("lang", (text) => text === "en" || text === "zh"),
  };
}

/**
 * The address of a view, relative to the page; what is plain is left out.
 * @param {View} view
 */
export function addressOf(view) {
  const written = new URLSearchParams();
  for (const name of CHOICES) for (const word of view[name]) written.append(name, word);
  for (const name of /** @type {const} */ (["from", "to", "q", "sort", "order", "lang"])) {
    if (view[name]) written.set(name, view[name]);
  }
  if (view.page !== PLAIN.page) written.set("page", String(view.page));
  if (view.limit !== PLAIN.limit) written.set("limit", String(view.limit));
  return `?${written}`;
}

/** @param {View} view */
export function isFiltered(view) {
  return CHOICES.some((name) => view[name].length > 0) || Boolean(view.from || view.to || view.q);
}

/**
 * The API's filters for a view. Days are those of the viewer's zone; the API's end is exclusive.
 * @param {View} view
 * @param {string} zone IANA
 */
function filtersOf(view, zone) {
  const asked = new URLSearchParams();
  for (const name of CHOICES) for (const word of view[name]) asked.append(name, word);
  if (view.from) asked.set("created_from", view.from);
  if (view.to) asked.set("created_to", dayAfter(view.to));
  if (view.q.trim()) asked.set("q", view.q.trim());
  if (view.from || view.to) asked.set("time_zone", zone);
  return asked;
}

/**
 * The API's filters for a view, and by what to sort.
 * @param {View} view
 * @param {string} zone IANA
 */
export function sortedOf(view, zone) {
  const asked = filtersOf(view, zone);
  if (view.sort) asked.set("sort", view.sort);
  return asked;
}

/**
 * The API's parameters for the page of a view.
 * @param {View} view
 * @param {string} zone IANA
 */
export function pageOf(view, zone) {
  const asked = sortedOf(view, zone);
  asked.set("page", String(view.page));
  asked.set("limit", String(view.limit));
  return asked;
}

/**
 * The API's parameters for the totals of a view.
 * @param {View} view
 * @param {string} zone IANA
 */
export function totalsOf(view, zone) {
  const asked = filtersOf(view, zone);
  asked.set("time_zone", zone);
  return asked;
}

/** @param {string} day */
function dayAfter(day) {
  const next = new Date(`${day}T00:00:00Z`);
  next.setUTCDate(next.getUTCDate() + 1);
  return next.toISOString().slice(0, 10);
}

/** @param {string[]} given */
function words(given) {
  return [...new Set(given)].filter((word) => /^[a-z_]{1,40}$/.test(word));
}
