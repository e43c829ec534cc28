/** HTTP client of the orders API. */

/**
 * @typedef {object} Order
 * @property {string} order_no
 * @property {{en?: string, zh?: string}} [package_name]
 * @property {string} [unit_price]
 * @property {number} [quantity]
 * @property {string} [actual_amount]
 * @property {string} status
 * @property {string} type
 * @property {string} source
 * @property {string} [created_at]
 */

/**
 * Age, freshness and origin of a response. Most of it is read from the headers: after a 304 the
 * browser combines current headers with the stored body.
 * @typedef {object} Provenance
 * @property {Date} asOf when the oldest part was requested from the upstream
 * @property {string} freshness `fresh`, `stale` or `stale-if-error`
 * @property {string} failure the problem code of the last failed refresh, or empty
 * @property {string[]} upstreamRequestIds at most ten
 * @property {number} upstreamResponses the number of upstream responses used
 * @property {boolean} inconsistent
 * @property {number} warnings the number of values that could not be read
 * @property {boolean} isSandbox
 */

/**
 * @typedef {object} ApiResponse
 * @property {any} data
 * @property {any} meta
 * @property {Provenance} provenance
 */

/** A failed request, with the members of the API's problem document (RFC 9457) if it sent one. */
export class Problem extends Error {
  /**
   * @param {Record<string, any>} members
   * @param {Headers} [headers]
   */
  constructor(members, headers) {
    super(members.detail || members.title || members.code);
    this.code = String(members.code);
    this.title = String(members.title ?? "");
    // For invalid parameters `detail` repeats the title, so their own messages replace it.
    const parameterErrors = (members.errors ?? []).map(formatParameterError).join(" ");
    this.detail = parameterErrors || String(members.detail ?? "");
    this.requestId = String(members.request_id ?? "");
    this.upstreamRequestId = String(members.upstream?.request_id ?? "");
    this.retryable = members.retryable === true;
    /** The page that explains the problem, relative to the API's URL; empty if there is none. */
    this.page = /^\/problems\/[a-z_]+$/.test(members.type) ? members.type.slice(1) : "";
    /** Seconds. */
    this.retryAfter = Number(headers?.get("retry-after")) || 5;
    /** @type {{loaded: number, total: number} | undefined} */
    this.progress = members.progress;
  }
}

export class ApiClient {
  #key;

  /**
   * @param {string} base the API's URL: absolute, ending in a slash
   * @param {string} [key] the API key; stored only in this object
   */
  constructor(base, key = "") {
    this.base = base;
    this.#key = key;
  }

  get hasKey() {
    return this.#key !== "";
  }

  /**
   * The absolute URL of a resource.
   * @param {string} path relative to the base, without a leading slash
   * @param {URLSearchParams} [params]
   */
  url(path, params) {
    const query = params?.toString();
    return new URL(path + (query ? `?${query}` : ""), this.base).href;
  }

  /**
   * @param {string} path
   * @param {URLSearchParams} [params]
   * @param {AbortSignal} [signal]
   * @returns {Promise<ApiResponse>}
   * @throws {Problem}
   */
  async get(path, params, signal) {
    const response = await this.#fetch(path, params, signal);
    const body = await response.json().catch(rethrowAbort);
    if (!body || typeof body !== "object" || !("data" in body)) throw notOrdersApi();
    const meta = body.meta ?? {};
    return { data: body.data, meta, provenance: provenanceOf(response.headers, meta) };
  }

  /**
   * A file and its suggested name.
   * @param {string} path
   * @param {URLSearchParams} [params]
   * @returns {Promise<{content: Blob, name: string}>}
   * @throws {Problem}
   */
  async download(path, params) {
    const response = await this.#fetch(path, params);
    const disposition = response.headers.get("content-disposition") ?? "";
    return { content: await response.blob(), name: /filename="([\w.-]+)"/.exec(disposition)?.[1] ?? "" };
  }

  /**
   * @param {string} path
   * @param {URLSearchParams} [params]
   * @param {AbortSignal} [signal]
   */
  async #fetch(path, params, signal) {
    const headers = this.#key ? { "X-API-Key": this.#key } : undefined;
    const options = { headers, signal, credentials: /** @type {const} */ ("same-origin") };
    const response = await fetch(this.url(path, params), options).catch(throwNetworkProblem);
    if (response.ok) return response;
    const members = await response.json().catch(rethrowAbort);
    throw members?.code ? new Problem(members, response.headers) : notOrdersApi();
  }
}

/**
 * @param {Headers} headers
 * @param {any} meta
 * @returns {Provenance}
 */
function provenanceOf(headers, meta) {
  const ids = headers.get("x-upstream-request-id")?.split(", ") ?? [];
  return {
    asOf: new Date(Date.now() - Number(headers.get("age") ?? 0) * 1000),
    freshness: headers.get("x-freshness") ?? "fresh",
    failure: /;\s*detail=([\w-]+)/.exec(headers.get("cache-status") ?? "")?.[1] ?? "",
    upstreamRequestIds: ids,
    upstreamResponses:
      meta.upstream_responses ?? Math.max(ids.length, meta.upstream_request_ids?.length ?? 0),
    inconsistent: meta.inconsistent === true,
    warnings: (meta.warnings?.length ?? 0) + (meta.warnings_omitted ?? 0),
    isSandbox: headers.get("x-sandbox") === "true",
  };
}

/**
 * @param {unknown} error
 * @returns {null}
 */
function rethrowAbort(error) {
  if (error instanceof DOMException && error.name === "AbortError") throw error;
  return null;
}

/**
 * @param {unknown} error
 * @returns {never}
 */
function throwNetworkProblem(error) {
  rethrowAbort(error);
  throw new Problem({ code: "network", retryable: true });
}

function notOrdersApi() {
  return new Problem({ code: "not_orders_api" });
}

/** @param {{parameter: string, message: string}} error */
function formatParameterError(error) {
  return `${error.parameter} ${error.message}.`;
}
