/** Takes the orders that match away as a file. */

import { Problem } from "./api.js";
import { make, renew } from "./elements.js";
import { titleOf } from "./troubles.js";
import { say } from "./words.js";

const FORMATS = ["csv", "ndjson"];
const FORGET_MS = 60_000;

/**
 * A link where none needs to know who asks: the browser streams it to the disk. With a key the
 * page has to ask itself, because a link can send none.
 * @param {HTMLElement} container
 * @param {import("./api.js").Api} api
 * @param {URLSearchParams} sorted the filters, and by what to sort
 * @param {(text: string) => void} tell
 */
export function showDownloads(container, api, sorted, tell) {
  const ways = FORMATS.map((format) => {
    const asked = new URLSearchParams([["format", format], ...sorted]);
    const word = say(`download.${format}`);
    if (!api.hasKey) {
      const href = api.address("v1/orders/export", asked);
      return make("a", { href, download: true, class: "button", "data-key": format }, word);
    }
    const take = () => void fetchFile(api, asked, tell);
    return make("button", { type: "button", "data-key": format, click: take }, word);
  });
  renew(container, ...ways);
}

/**
 * @param {import("./api.js").Api} api
 * @param {URLSearchParams} asked
 * @param {(text: string) => void} tell
 */
async function fetchFile(api, asked, tell) {
  tell(say("download.busy"));
  try {
    const { content, name } = await api.file("v1/orders/export", asked);
    const address = URL.createObjectURL(content);
    make("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), FORGET_MS);
    tell(say("download.done", { name }));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    tell(say("download.failed", { why: titleOf(error) }));
  }
}
