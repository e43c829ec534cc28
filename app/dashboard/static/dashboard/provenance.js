/** The line below a response: its age and freshness, and the upstream responses it is based on. */

import { el } from "./dom.js";
import { formatAge, formatTime } from "./format.js";
import { t, tCount } from "./i18n.js";

/** @typedef {import("./api.js").Provenance} Provenance */

const REASONS = [
  "upstream_timeout",
  "upstream_unreachable",
  "upstream_throttled",
  "upstream_unavailable",
  "upstream_credential_rejected",
];

export class ProvenanceLine {
  /** @type {Provenance | undefined} */
  #shown;
  #dot = el("span", { class: "dot", "aria-hidden": "true" });
  #text = el("span");
  #notes = el("span", { class: "notes" });
  #summary = el("summary");
  #ids = el("ul");
  #details;

  /** @param {HTMLElement} container */
  constructor(container) {
    this.#details = el("details", {}, this.#summary, this.#ids);
    container.replaceChildren(el("p", {}, this.#dot, this.#text, this.#notes), this.#details);
    container.hidden = true;
    this.container = container;
  }

  /** @param {Provenance | undefined} provenance */
  show(provenance) {
    this.#shown = provenance;
    this.container.hidden = provenance === undefined;
    if (provenance === undefined) return;
    const { failure, freshness, inconsistent, upstreamRequestIds, upstreamResponses, warnings } = provenance;
    this.container.dataset.freshness = failure ? "stale-if-error" : freshness;
    this.#notes.textContent = [inconsistent && t("inconsistent"), warnings && tCount("warnings", warnings)]
      .filter(Boolean)
      .join(" ");
    this.#details.hidden = upstreamRequestIds.length === 0;
    this.#summary.textContent = tCount("responses", upstreamResponses);
    const isCut = upstreamResponses > upstreamRequestIds.length;
    this.#ids.replaceChildren(
      ...(isCut ? [el("li", { class: "muted" }, t("responses.newest"))] : []),
      ...upstreamRequestIds.map((id) => el("li", {}, el("code", {}, id))),
    );
    this.tick();
  }

  /** Update the age that is shown. */
  tick() {
    if (this.#shown === undefined) return;
    const { asOf, failure, freshness } = this.#shown;
    const seconds = Math.max(0, (Date.now() - asOf.getTime()) / 1000);
    const parts = [t("as_of", { time: formatTime(asOf) }), t("as_of.age", { age: formatAge(seconds) })];
    // Without `failure`: a fetch failed just before, and the backoff prevented another one.
    const isFailing = failure || freshness === "stale-if-error";
    parts.push(
      isFailing ? t("freshness.cached", { reason: reason(failure) }) : t(`freshness.${freshness}`),
    );
    const text = parts.join(" \u00b7 ");
    if (this.#text.textContent !== text) this.#text.textContent = text;
  }
}

/** @param {string} code */
function reason(code) {
  return t(REASONS.includes(code) ? `reason.${code}` : "reason.other");
}
