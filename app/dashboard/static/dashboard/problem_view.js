/** Renders a problem or loading progress in the place of a response. */

import { el, replaceContent } from "./dom.js";
import { t } from "./i18n.js";

/** @typedef {import("./api.js").Problem} Problem */
/** @typedef {Extract<import("./request.js").RequestState, {kind: "problem"}>} ProblemState */

/**
 * Render a problem, or nothing if it is null.
 * @param {HTMLElement} container
 * @param {ProblemState | null} state
 * @param {{base: string, hasOlderData: boolean}} [options]
 *   base: the API's URL, for links; hasOlderData: an earlier response is still shown
 */
export function showProblem(container, state, options = { base: "", hasOlderData: false }) {
  if (state === null) {
    replaceContent(container);
  } else if (state.problem.code === "list_loading") {
    replaceContent(container, loadingProgress(state.problem));
  } else {
    replaceContent(container, problemCard(state, options));
  }
}

/**
 * The title that the API sent, else ours in the language of the page.
 * @param {Problem} problem
 */
export function problemTitle(problem) {
  return problem.title || t(`problem.${problem.code}`);
}

/** @param {Problem} problem */
function loadingProgress({ progress }) {
  const known = progress !== undefined && progress.total > 0;
  const text = known ? t("problem.loading", progress) : t("problem.loading.start");
  const bar = known ? { value: progress.loaded, max: progress.total } : {};
  return el("div", { class: "problem loading" }, el("label", {}, el("span", {}, text), el("progress", bar)));
}

/**
 * @param {ProblemState} state
 * @param {{base: string, hasOlderData: boolean}} options
 */
function problemCard({ problem, retryIn, retry }, { base, hasOlderData }) {
  const title = problemTitle(problem);
  const detail = problem.detail || t(`problem.${problem.code}.detail`);
  return el(
    "div",
    { class: "problem", "data-code": problem.code },
    el("h3", {}, title),
    detail !== title && el("p", {}, detail),
    hasOlderData && el("p", {}, t("problem.older")),
    el(
      "dl",
      {},
      el("div", {}, el("dt", {}, t("problem.code")), el("dd", {}, el("code", {}, problem.code))),
      copyableId("problem.request_id", problem.requestId),
      copyableId("problem.upstream_request_id", problem.upstreamRequestId),
    ),
    el(
      "p",
      { class: "actions" },
      el("button", { type: "button", "data-key": "retry", click: retry }, t("problem.retry")),
      problem.page && el("a", { href: new URL(problem.page, base).href }, t("problem.help")),
      retryIn > 0 && el("span", { class: "muted" }, t("problem.retrying", { seconds: retryIn })),
    ),
  );
}

/**
 * @param {string} label an i18n key
 * @param {string} value
 */
function copyableId(label, value) {
  if (!value) return null;
  const copy = el("button", { type: "button", class: "plain", "data-key": label }, t("problem.copy"));
  copy.setAttribute("aria-label", t("problem.copy.label", { name: t(label) }));
  copy.addEventListener("click", () => {
    void navigator.clipboard.writeText(value).then(() => (copy.textContent = t("problem.copied")));
  });
  return el("div", {}, el("dt", {}, t(label)), el("dd", {}, el("code", {}, value), " ", copy));
}
