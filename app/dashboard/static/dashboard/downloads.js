/** Downloads of the orders that match the filters. The page fetches the file, to report problems. */

import { Problem } from "./api.js";
import { el, update } from "./dom.js";
import { t } from "./i18n.js";
import { problemTitle } from "./problem_view.js";

/** @typedef {(text: string, options?: {lasting?: boolean}) => void} Notify */

const FORMATS = ["xlsx", "csv", "ndjson"];
const REVOKE_AFTER_MS = 60_000;

/** The formats whose file is being prepared: each is requested once at a time. @type {Set<string>} */
const pending = new Set();

/**
 * @param {HTMLElement} container
 * @param {import("./api.js").ApiClient} api
 * @param {URLSearchParams} params filters and sort order
 * @param {Notify} notify
 */
export function showDownloads(container, api, params, notify) {
  const controls = FORMATS.map((format) => {
    const query = new URLSearchParams([["format", format], ...params]);
    const click = async (/** @type {MouseEvent} */ event) => {
      if (pending.has(format)) return;
      const button = /** @type {HTMLElement} */ (event.currentTarget);
      pending.add(format);
      // `disabled` would take the focus away.
      button.setAttribute("aria-disabled", "true");
      await saveFile(api, query, notify).finally(() => pending.delete(format));
      button.removeAttribute("aria-disabled");
    };
    const attributes = { type: "button", "data-key": format, "aria-disabled": pending.has(format) && "true" };
    return el("button", { ...attributes, click }, t(`download.${format}`));
  });
  update(container, ...controls);
}

/**
 * @param {import("./api.js").ApiClient} api
 * @param {URLSearchParams} query
 * @param {Notify} notify
 */
async function saveFile(api, query, notify) {
  notify(t("download.busy"), { lasting: true });
  try {
    const { content, name } = await api.download("v1/orders/export", query);
    const url = URL.createObjectURL(content);
    el("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), REVOKE_AFTER_MS);
    notify(t("download.done", { name }));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    notify(t("download.failed", { reason: problemTitle(error) }));
  }
}
