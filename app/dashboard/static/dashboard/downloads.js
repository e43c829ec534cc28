/** Downloads of the orders that match the filters. The page fetches the file, to report problems. */

import { Problem } from "./api.js";
import { el, update } from "./dom.js";
import { t } from "./i18n.js";
import { problemTitle } from "./problem_view.js";

const FORMATS = ["xlsx", "csv", "ndjson"];
const REVOKE_AFTER_MS = 60_000;

/**
 * @param {HTMLElement} container
 * @param {import("./api.js").ApiClient} api
 * @param {URLSearchParams} params filters and sort order
 * @param {(text: string) => void} notify
 */
export function showDownloads(container, api, params, notify) {
  const controls = FORMATS.map((format) => {
    const query = new URLSearchParams([["format", format], ...params]);
    const click = () => void saveFile(api, query, notify);
    return el("button", { type: "button", "data-key": format, click }, t(`download.${format}`));
  });
  update(container, ...controls);
}

/**
 * @param {import("./api.js").ApiClient} api
 * @param {URLSearchParams} query
 * @param {(text: string) => void} notify
 */
async function saveFile(api, query, notify) {
  notify(t("download.busy"));
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
