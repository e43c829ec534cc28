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

const FRESHNESS = ["fresh", "stale", "stale-if-error"];

/** A failed request, with the members of the API's problem document (RFC 9457) if it sent one. */
export class Problem extends Error {
  /**
   * @param {Record<string, any>} members
   * @param {Headers} [headers]
   */
  constructor(members, headers) {
    super(members.detail || members.title || members.code);
    this.code = String(members.code);
    /** In English, as the API sent them; empty for problems of the page itself. */
    this.title = String(members.title ?? "");
    this.detail = String(members.detail ?? "");
    /** @type {{parameter: string, message: string}[]} */
    this.errors = members.errors ?? [];
    this.requestId = String(members.request_id ?? "");
    this.upstreamRequestId = String(members.upstream?.request_id ?? "");
    this.retryable = members.retryable === true;
    /** The page that explains the problem, relative to the API's URL; empty if there is none. */
    this.page = /^\/problems\/[a-z_]+$/.test(members.type) ? members.type.slice(1) : "";
    /** Seconds. */
    this.retryAfter = Number(headers?.get("retry-after")) || 2;
    /** @type {{loaded: number, total: number} | undefined} */
    this.progress = members.progress;
    /** Whether a person can sign in instead. */
    this.canSignIn = typeof members.login === "string";
  }
}

const TIMEOUT_MS = 30_000;
const DOWNLOAD_TIMEOUT_MS = 600_000;

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
    const body = await response.json().catch(throwNetworkProblem);
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
    const response = await this.#fetch(path, params, undefined, DOWNLOAD_TIMEOUT_MS);
    const disposition = response.headers.get("content-disposition") ?? "";
    const content = await response.blob().catch(throwNetworkProblem);
    return { content, name: /filename="([\w.-]+)"/.exec(disposition)?.[1] ?? "" };
  }

  /**
   * Send a request that changes something and has no body.
   * @param {string} path
   * @throws {Problem}
   */
  async post(path) {
    await this.#fetch(path, undefined, undefined, TIMEOUT_MS, "POST");
  }

  /**
   * @param {string} path
   * @param {URLSearchParams} [params]
   * @param {AbortSignal} [signal]
   * @param {number} [timeoutMs]
   * @param {string} [method]
   */
  async #fetch(path, params, signal, timeoutMs = TIMEOUT_MS, method = "GET") {
    /** @type {Record<string, string>} */
    const headers = {};
    if (this.#key) headers["X-API-Key"] = this.#key;
    // Without a preflight on this origin; another one may be the API of an earlier version.
    if (new URL(this.base).origin === location.origin) headers["X-CSRF"] = "1";
    const timeout = AbortSignal.timeout(timeoutMs);
    const options = {
      method,
      headers,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      credentials: /** @type {const} */ ("same-origin"),
    };
    const response = await fetch(this.url(path, params), options).catch(throwNetworkProblem);
    if (response.ok) return response;
    const members = await response.json().catch(throwNetworkProblem);
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
 * The provenance of something that is shown from several responses: the oldest, the worst.
 * @param {Provenance[]} all
 * @returns {Provenance}
 */
export function combineProvenance(all) {
  const [first, ...others] = all;
  return others.reduce(
    (left, right) => ({
      asOf: left.asOf < right.asOf ? left.asOf : right.asOf,
      freshness: FRESHNESS.indexOf(left.freshness) > FRESHNESS.indexOf(right.freshness) ? left.freshness : right.freshness,
      failure: left.failure || right.failure,
      upstreamRequestIds: [...new Set([...left.upstreamRequestIds, ...right.upstreamRequestIds])],
      upstreamResponses: Math.max(left.upstreamResponses, right.upstreamResponses),
      inconsistent: left.inconsistent || right.inconsistent,
      warnings: left.warnings + right.warnings,
      isSandbox: left.isSandbox || right.isSandbox,
    }),
    first,
  );
}

/**
 * @param {unknown} error
 * @returns {Promise<never>}
 */
async function throwNetworkProblem(error) {
  if (error instanceof DOMException && error.name === "AbortError") throw error;
  // A body that is not JSON: something answered, but not this API.
  if (error instanceof SyntaxError) throw notOrdersApi();
  throw new Problem({ code: "network", retryable: true });
}

function notOrdersApi() {
  return new Problem({ code: "not_orders_api" });
}
