/** Renders a problem in the place of a response. */

import { copyButton } from "./copy_button.js";
import { el, update } from "./dom.js";
import { language, t } from "./i18n.js";
import { PROBLEM_MESSAGES } from "./problem_messages.js";

/** @typedef {import("./api.js").Problem} Problem */
/** @typedef {Extract<import("./request.js").RequestState, {kind: "problem"}>} ProblemState */

/** What the button does if it does not retry. @type {Record<string, string>} */
const ACTIONS = {
  reversed_dates: "problem.swap",
  reversed_amounts: "problem.swap",
  no_access: "problem.sign_in",
};

/**
 * Render a problem, or nothing if it is null or the list is loading.
 * @param {HTMLElement} container
 * @param {ProblemState | null} state
 * @param {string} [base] the API's URL, for links
 */
export function showProblem(container, state, base = "") {
  // The progress of loading is in the status strip, where it moves nothing.
  const isShown = state !== null && state.problem.code !== "list_loading";
  update(container, isShown && problemCard(state, base));
}

/**
 * The title in the language of the page.
 * @param {Problem} problem
 */
export function problemTitle(problem) {
  return localized(problem, "title") || problem.code;
}

/** @param {Problem} problem */
export function problemDetail(problem) {
  const parameters = problem.errors.map(({ parameter, message }) =>
    language() === "en" ? `${parameter} ${message}.` : t("problem.parameter", { parameter }),
  );
  return parameters.join(" ") || localized(problem, "detail");
}

/**
 * The API's text in English, else ours.
 * @param {Problem} problem
 * @param {"title" | "detail"} part
 */
function localized(problem, part) {
  const [en, zh] = PROBLEM_MESSAGES[problem.code]?.[part] ?? ["", ""];
  return language() === "zh" ? zh || problem[part] : problem[part] || en;
}

/**
 * @param {ProblemState} state
 * @param {string} base
 */
export function problemCard({ problem, retryIn, retry }, base) {
  const title = problemTitle(problem);
  const detail = problemDetail(problem);
  const isOurs = !problem.requestId;
  const action = ACTIONS[problem.code] ?? "problem.retry";
  return el(
    "div",
    { class: "problem", "data-code": problem.code },
    el("h3", {}, title),
    detail !== title && el("p", {}, detail),
    !isOurs &&
      el(
        "dl",
        {},
        fact("problem.code", problem.code),
        fact("problem.request_id", problem.requestId),
        problem.upstreamRequestId && fact("problem.upstream_request_id", problem.upstreamRequestId),
      ),
    el(
      "p",
      { class: "actions" },
      el("button", { type: "button", "data-key": "retry", click: retry }, t(action)),
      problem.page && el("a", { href: new URL(problem.page, base).href }, t("problem.help")),
      retryIn > 0 && el("span", { class: "muted" }, t("problem.retrying", { seconds: retryIn })),
    ),
  );
}

/**
 * @param {string} label an i18n key
 * @param {string} value
 */
function fact(label, value) {
  return el("div", {}, el("dt", {}, t(label)), el("dd", {}, el("code", {}, value), copyButton(value, t(label))));
}
