/** The line at the top: whether the orders are current, and if not, since when and why. */

import { copyButton } from "./copy_button.js";
import { byId, el, update } from "./dom.js";
import { formatAge, formatClock, formatCount } from "./format.js";
import { hasMessage, t, tCount } from "./i18n.js";
import { problemCard, problemTitle } from "./problem_view.js";

/**
 * @typedef {import("./api.js").Provenance} Provenance
 * @typedef {import("./api.js").Problem} Problem
 * @typedef {import("./problem_view.js").ProblemState} ProblemState
 */

/**
 * `level` is `ok` only for current data.
 * @typedef {{level: "ok" | "busy" | "failing" | "down", text: string}} State
 */

/**
 * @typedef {object} Inputs
 * @property {Provenance | undefined} provenance of everything on the page
 * @property {ProblemState | null} problem of the list or the totals
 * @property {Problem | null} pollProblem of the last poll for changes
 * @property {string} base the API's URL
 */

const MAX_EXTRAPOLATION_MS = 4000;
/** Seconds after which data counts as current no longer if no poll has confirmed it. */
const MAX_SILENCE = 45;

export class StatusStrip {
  /** @type {Inputs} */
  #inputs = { provenance: undefined, problem: null, pollProblem: null, base: "" };
  /** When each kind of failure was first seen. @type {Map<string, {at: Date, fromStart: boolean}>} */
  #since = new Map();
  #hadSuccess = false;
  #lastContact = Date.now();
  /** The last progress, when it was received, and its rate in orders per millisecond. */
  #progress = { loaded: 0, at: Date.now(), rate: 0 };
  #onLevel;
  #level = "";

  /** @param {(text: string) => void} onLevel called when the level changes, with the new text */
  constructor(onLevel) {
    this.#onLevel = onLevel;
  }

  /** @param {Inputs} inputs */
  update(inputs) {
    this.#inputs = inputs;
    this.#trackFailures();
    update(byId("details"), ...details(inputs));
    this.tick();
  }

  /** The page has heard from the proxy. */
  contact() {
    this.#lastContact = Date.now();
  }

  /** Update the times that are shown. */
  tick() {
    const { provenance } = this.#inputs;
    const { level, text } = this.#state();
    const strip = byId("strip");
    if (strip.dataset.level !== level) strip.dataset.level = level;
    setText(byId("strip-state"), text);
    this.#showProgress();
    setText(byId("strip-data"), provenance ? dataText(provenance) : t("state.no_data"));
    if (level !== this.#level && this.#level !== "" && (level === "failing" || level === "down")) {
      this.#onLevel(text);
    }
    this.#level = level;
  }

  /** Between two answers the bar goes on at the rate of the last ones. */
  #showProgress() {
    const progress = this.#loading()?.progress;
    const bar = /** @type {HTMLProgressElement} */ (byId("strip-progress"));
    bar.hidden = !this.#loading();
    if (!progress?.total) {
      bar.removeAttribute("value");
      this.#progress = { loaded: 0, at: Date.now(), rate: 0 };
      return;
    }
    const { loaded, at, rate } = this.#progress;
    const elapsed = Math.max(Date.now() - at, 1);
    if (progress.loaded !== loaded) {
      const newRate = Math.max(progress.loaded - loaded, 0) / elapsed;
      this.#progress = { loaded: progress.loaded, at: Date.now(), rate: newRate };
    }
    const expected = progress.loaded === loaded ? loaded + rate * Math.min(elapsed, MAX_EXTRAPOLATION_MS) : 0;
    bar.max = progress.total;
    bar.value = Math.min(Math.max(expected, progress.loaded), progress.total);
  }

  /** The problem that says how far loading is. */
  #loading() {
    const { problem, pollProblem } = this.#inputs;
    return [problem?.problem, pollProblem].find((one) => one?.code === "list_loading");
  }

  /** @returns {State} */
  #state() {
    const { provenance, problem, pollProblem } = this.#inputs;
    const failure = this.#currentFailure();
    if (failure?.kind === "network") {
      return { level: "down", text: t("state.unreachable", { time: this.#sinceText("network").time }) };
    }
    if (failure?.kind === "upstream") {
      const { time, fromStart } = this.#sinceText("upstream");
      const reason = hasMessage(`reason.${failure.code}`) ? failure.code : "other";
      const key = fromStart ? "state.failing_before" : "state.failing";
      return { level: "failing", text: t(key, { time, reason: t(`reason.${reason}`) }) };
    }
    const other = failure?.problem;
    if (other && other.code !== "list_loading") {
      const { time } = this.#sinceText("proxy");
      return { level: "down", text: t("state.proxy_problem", { title: problemTitle(other), time }) };
    }
    if (other) return { level: "busy", text: loadingText(this.#loading() ?? other) };
    if (!provenance) return { level: "busy", text: problem ? problemTitle(problem.problem) : t("state.loading") };
    if (pollProblem && problem === null && !pollProblem.retryable) {
      return { level: "busy", text: t("state.off") };
    }
    const isSilent = (Date.now() - this.#lastContact) / 1000 > MAX_SILENCE;
    if (provenance.freshness !== "fresh" || isSilent) return { level: "busy", text: t("state.refreshing") };
    return { level: "ok", text: t("state.live") };
  }

  /**
   * What fails, the most serious first.
   * @returns {{kind: "network" | "upstream" | "proxy", code: string, problem?: Problem} | undefined}
   */
  #currentFailure() {
    const { provenance, problem, pollProblem } = this.#inputs;
    const problems = [pollProblem, problem?.problem].filter((one) => one !== null && one !== undefined);
    const network = problems.find(({ code }) => code === "network" || code === "not_orders_api");
    if (network) return { kind: "network", code: network.code, problem: network };
    const upstream = problems.find(({ code }) => code.startsWith("upstream_"));
    if (upstream) return { kind: "upstream", code: provenance?.failure || upstream.code, problem: upstream };
    if (provenance && (provenance.failure || provenance.freshness === "stale-if-error")) {
      return { kind: "upstream", code: provenance.failure };
    }
    const proxy = problems.find(({ retryable, code }) => retryable || code === "internal_error");
    return proxy && { kind: "proxy", code: proxy.code, problem: proxy };
  }

  #trackFailures() {
    const failure = this.#currentFailure();
    const isLoading = failure?.code === "list_loading";
    if (failure === undefined && this.#inputs.provenance) this.#hadSuccess = true;
    for (const kind of this.#since.keys()) if (kind !== failure?.kind || isLoading) this.#since.delete(kind);
    if (failure && !isLoading && !this.#since.has(failure.kind)) {
      this.#since.set(failure.kind, { at: new Date(), fromStart: !this.#hadSuccess });
    }
  }

  /** @param {string} kind */
  #sinceText(kind) {
    const since = this.#since.get(kind) ?? { at: new Date(), fromStart: false };
    return { time: formatClock(since.at), fromStart: since.fromStart };
  }
}

/** @param {Problem} problem */
function loadingText({ progress }) {
  if (!progress?.total) return t("state.list_loading");
  const values = { loaded: formatCount(progress.loaded), total: formatCount(progress.total) };
  return t("state.progress", values);
}

/** @param {Provenance} provenance */
function dataText({ asOf, inconsistent }) {
  const seconds = Math.max(0, (Date.now() - asOf.getTime()) / 1000);
  const text = t("state.data", { time: formatClock(asOf, { seconds: true }), age: formatAge(seconds) });
  return inconsistent ? `${text} \u00b7 ${t("state.inconsistent")}` : text;
}

/**
 * Where the orders come from, and the last problem.
 * @param {Inputs} inputs
 */
function details({ provenance, problem, base }) {
  const fact = (/** @type {string} */ name, /** @type {import("./dom.js").Child[]} */ ...value) =>
    el("div", { "data-key": name }, el("dt", {}, t(name)), el("dd", {}, ...value));
  const notes = provenance
    ? [provenance.inconsistent && t("inconsistent"), provenance.warnings && tCount("warnings", provenance.warnings)]
    : [];
  return [
    provenance &&
      el(
        "dl",
        {},
        fact("details.as_of", formatClock(provenance.asOf, { seconds: true })),
        fact("details.freshness", freshnessText(provenance)),
        fact("details.responses", formatCount(provenance.upstreamResponses)),
        fact("details.ids", upstreamIds(provenance)),
      ),
    ...notes.filter(Boolean).map((note) => el("p", { class: "note" }, String(note))),
    problem && el("div", { "data-key": "problem" }, el("h3", {}, t("details.last_problem")), problemCard(problem, base)),
  ];
}

/** @param {Provenance} provenance */
function freshnessText({ failure, freshness }) {
  return failure ? t("freshness.failing", { code: failure }) : t(`freshness.${freshness}`);
}

/** @param {Provenance} provenance */
function upstreamIds({ upstreamRequestIds, upstreamResponses }) {
  const isCut = upstreamResponses > upstreamRequestIds.length;
  return el(
    "ul",
    {},
    isCut && el("li", { class: "muted" }, t("details.newest")),
    ...upstreamRequestIds.map((id) => el("li", {}, el("code", {}, id), copyButton(id, t("details.ids")))),
  );
}

/**
 * @param {HTMLElement} element
 * @param {string} text
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
