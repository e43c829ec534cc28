/** Downloads of the orders that match the filters. */

import { Problem } from "./api.js";
import { el, replaceContent } from "./dom.js";
import { t } from "./i18n.js";
import { problemTitle } from "./problem_view.js";

const FORMATS = ["csv", "ndjson"];
const REVOKE_AFTER_MS = 60_000;

/**
 * Without an API key the downloads are links, so the browser streams them to disk. A link cannot
 * send a key, so with a key the page fetches the file itself.
 * @param {HTMLElement} container
 * @param {import("./api.js").ApiClient} api
 * @param {URLSearchParams} params filters and sort order
 * @param {(text: string) => void} notify
 */
export function showDownloads(container, api, params, notify) {
  const controls = FORMATS.map((format) => {
    const query = new URLSearchParams([["format", format], ...params]);
    const label = t(`download.${format}`);
    if (!api.hasKey) {
      const href = api.url("v1/orders/export", query);
      return el("a", { href, download: true, class: "button", "data-key": format }, label);
    }
    const click = () => void saveFile(api, query, notify);
    return el("button", { type: "button", "data-key": format, click }, label);
  });
  replaceContent(container, ...controls);
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
