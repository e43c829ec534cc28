/** What the page requests for a view, each combined from several API responses. */

import { Problem, combineProvenance } from "./api.js";
import { previousRange } from "./calendar.js";
import { pageParams, summaryParams } from "./url_state.js";

/**
 * @typedef {import("./api.js").ApiClient} ApiClient
 * @typedef {import("./api.js").ApiResponse} ApiResponse
 * @typedef {import("./api.js").Order} Order
 * @typedef {import("./url_state.js").View} View
 */

/**
 * @typedef {{count: number, actual_amount: string}} Totals
 * @typedef {Totals & {amounts_unknown: number,
 *   groups: Record<"revenue" | "outstanding" | "lost" | "other", Totals>,
 *   by_status: (Totals & {status: string})[], by_type: (Totals & {type: string})[],
 *   by_source: (Totals & {source: string})[],
 *   by_period: (Totals & {period: string, status: string})[]}} Summary
 */

/**
 * The totals of a view: of the orders in the list, of those of every status, and of the latter in
 * the period before.
 * @typedef {{listed: Summary, all: Summary, previous: Summary | undefined}} Overview
 */

/**
 * The rows of the view's page.
 * @param {ApiClient} api
 * @param {View} view
 * @param {AbortSignal} signal
 * @returns {Promise<ApiResponse>}
 */
export async function fetchOrders(api, view, signal) {
  const responses = await Promise.all(pageParams(view).map((params) => api.get("v1/orders", params, signal)));
  const provenance = combineProvenance(responses.map((response) => response.provenance));
  const totals = responses.map(({ meta }) => meta.total);
  const total = Math.max(...totals);
  provenance.inconsistent ||= totals.some((one) => one !== total);
  return {
    data: responses.flatMap(({ data }) => data),
    meta: { ...responses[0].meta, total, pages: Math.ceil(total / view.limit), page: view.page, limit: view.limit },
    provenance,
  };
}

/**
 * The totals of the view, as an `Overview`.
 * @param {ApiClient} api
 * @param {View} view
 * @param {AbortSignal} signal
 * @returns {Promise<ApiResponse>}
 */
export async function fetchOverview(api, view, signal) {
  const get = (/** @type {View} */ one) => api.get("v1/orders/summary", summaryParams(one), signal);
  const ofAllStatuses = { ...view, status: [] };
  const [listed, all, previous] = await Promise.all([
    get(view),
    view.status.length > 0 ? get(ofAllStatuses) : undefined,
    view.from && view.to
      ? get({ ...ofAllStatuses, ...previousRange(view), interval: "quarter" }).catch(ignoreProblem)
      : undefined,
  ]);
  const present = [listed, all, previous].filter((response) => response !== undefined);
  return {
    data: { listed: listed.data, all: (all ?? listed).data, previous: previous?.data },
    meta: listed.meta,
    provenance: combineProvenance(present.map((response) => response.provenance)),
  };
}

/**
 * The comparison is left out where it is not possible, for example before the year 1.
 * @param {unknown} error
 */
function ignoreProblem(error) {
  if (!(error instanceof Problem) || error.retryable) throw error;
  return undefined;
}
