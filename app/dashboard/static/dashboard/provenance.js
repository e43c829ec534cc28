/** The line below an answer: how old it is, how good, and which upstream answers it rests on. */

import { make } from "./elements.js";
import { age, timeOfDay } from "./formats.js";
import { say, sayCount } from "./words.js";

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
  #dot = make("span", { class: "dot", "aria-hidden": "true" });
  #text = make("span");
  #notes = make("span", { class: "notes" });
  #summary = make("summary");
  #ids = make("ul");
  #details;

  /** @param {HTMLElement} container */
  constructor(container) {
    this.#details = make("details", {}, this.#summary, this.#ids);
    container.replaceChildren(make("p", {}, this.#dot, this.#text, this.#notes), this.#details);
    container.hidden = true;
    this.container = container;
  }

  /** @param {Provenance | undefined} provenance */
  show(provenance) {
    this.#shown = provenance;
    this.container.hidden = provenance === undefined;
    if (provenance === undefined) return;
    const { answers, freshness, failure, shifting, upstreamIds, warnings } = provenance;
    this.container.dataset.freshness = failure ? "kept" : freshness;
    this.#notes.textContent = [shifting && say("shifting"), warnings && sayCount("warnings", warnings)]
      .filter(Boolean)
      .join(" ");
    this.#details.hidden = upstreamIds.length === 0;
    this.#summary.textContent = sayCount("answers", answers);
    this.#ids.replaceChildren(
      ...(answers > upstreamIds.length ? [make("li", { class: "quiet" }, say("answers.newest"))] : []),
      ...upstreamIds.map((id) => make("li", {}, make("code", {}, id))),
    );
    this.tick();
  }

  /** Tell the age that it has by now. */
  tick() {
    if (this.#shown === undefined) return;
    const { asOf, failure, freshness } = this.#shown;
    const seconds = Math.max(0, (Date.now() - asOf.getTime()) / 1000);
    const parts = [say("asof", { time: timeOfDay(asOf) }), say("asof.age", { age: age(seconds) })];
    // Kept without a word why: it failed a moment ago, and was not asked again for this answer.
    const failing = failure || freshness === "kept";
    parts.push(failing ? `${say(freshness)}, ${reason(failure)}` : say(freshness));
    const text = parts.join(" \u00b7 ");
    if (this.#text.textContent !== text) this.#text.textContent = text;
  }
}

/** @param {string} code */
function reason(code) {
  return say(REASONS.includes(code) ? `why.${code}` : "why.other");
}
