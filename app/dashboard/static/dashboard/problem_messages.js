/** Titles and details of problems by code, in English and Chinese: the API's own are in English. */

/** @type {Record<string, {title: [en: string, zh: string], detail: [en: string, zh: string]}>} */
export const PROBLEM_MESSAGES = {
  network: {
    title: ["Cannot reach the server", "无法连接服务器"],
    detail: [
      "The server did not respond, or CORS does not allow this page.",
      "服务器没有响应，或其 CORS 设置不允许本页面访问。",
    ],
  },
  not_orders_api: {
    title: ["Unexpected response", "响应不符合预期"],
    detail: ["The server answered, but is not the orders API.", "服务器已响应，但它不是订单 API。"],
  },
  reversed_dates: {
    title: ["The dates are reversed", "日期范围颠倒"],
    detail: ["The range ends before it begins. Swap the two dates.", "结束日期早于开始日期，请调换两个日期。"],
  },
  reversed_amounts: {
    title: ["The amounts are reversed", "金额范围颠倒"],
    detail: [
      "The highest amount is less than the lowest. Swap the two amounts.",
      "最高金额小于最低金额，请调换两个金额。",
    ],
  },
  invalid_request: {
    title: ["Invalid filters", "筛选条件无效"],
    detail: ["The server does not accept a filter in the address.", "服务器不接受网址中的某个筛选条件。"],
  },
  not_found: {
    title: ["Not found", "未找到"],
    detail: ["The server has no such resource.", "服务器上没有该资源。"],
  },
  request_timeout: {
    title: ["Request timed out", "请求超时"],
    detail: ["The request did not arrive in time.", "请求未能及时送达。"],
  },
  uri_too_long: {
    title: ["Address too long", "网址过长"],
    detail: ["Use fewer filters.", "请减少筛选条件。"],
  },
  misdirected_request: {
    title: ["Misdirected request", "请求主机错误"],
    detail: ["The server is not configured for this host name.", "服务器未配置为接受此主机名。"],
  },
  unauthenticated: {
    title: ["Authentication required", "需要登录"],
    detail: [
      "The API key or session is missing, invalid or expired.",
      "缺少 API 密钥或会话，或其无效、已过期。",
    ],
  },
  forbidden: {
    title: ["No access", "无权访问"],
    detail: [
      "You do not have the necessary scope. Ask the operator of this server.",
      "您没有所需的权限，请联系本服务器的管理员。",
    ],
  },
  no_access: {
    title: ["No access to the orders", "无权查看订单"],
    detail: ["", ""],
  },
  cross_site_request: {
    title: ["Request from another site", "跨站请求"],
    detail: ["Open this page at its own address.", "请直接打开本页面的网址。"],
  },
  rate_limited: {
    title: ["Too many requests", "请求过于频繁"],
    detail: [
      "You have reached your request limit. The page goes on by itself.",
      "您已达到请求次数上限，页面将自动继续。",
    ],
  },
  overloaded: {
    title: ["Proxy overloaded", "代理服务过载"],
    detail: ["The proxy has too much to do at the moment.", "代理服务当前负载过高。"],
  },
  starting: {
    title: ["Proxy starting", "代理服务正在启动"],
    detail: ["The first orders are being loaded.", "正在首次加载订单。"],
  },
  shutting_down: {
    title: ["Proxy shutting down", "代理服务正在关闭"],
    detail: ["The proxy is shutting down; another one may take over.", "代理服务正在关闭，可能由其他实例接替。"],
  },
  order_not_found: {
    title: ["Order not found", "未找到订单"],
    detail: ["There is no order with this number.", "没有此编号的订单。"],
  },
  upstream_credential_rejected: {
    title: ["Upstream rejected the server's credential", "上游服务拒绝了服务器的凭证"],
    detail: ["The operator of this server has to replace the credential.", "需由服务器管理员更换凭证。"],
  },
  upstream_plan_required: {
    title: ["The pool's plan does not include orders", "用户池的套餐不包含订单功能"],
    detail: ["The operator has to change the plan.", "需由管理员升级套餐。"],
  },
  upstream_rejected: {
    title: ["Upstream rejected the request", "上游服务拒绝了请求"],
    detail: ["Report this to the operator, with the request ID.", "请将请求 ID 告知管理员。"],
  },
  upstream_throttled: {
    title: ["Upstream is rate limiting", "上游服务正在限流"],
    detail: ["It passes by itself.", "稍后会自动恢复。"],
  },
  upstream_failed: {
    title: ["Upstream failed", "上游服务出错"],
    detail: ["The upstream answered with an error.", "上游服务返回了错误。"],
  },
  upstream_unreachable: {
    title: ["Upstream unreachable", "无法连接上游服务"],
    detail: ["The server cannot connect to the upstream.", "服务器无法连接到上游服务。"],
  },
  upstream_timeout: {
    title: ["Upstream timed out", "上游服务响应超时"],
    detail: ["The upstream did not answer in time.", "上游服务未能及时响应。"],
  },
  upstream_malformed: {
    title: ["Malformed upstream response", "上游响应格式错误"],
    detail: ["The upstream's answer could not be read.", "无法解析上游服务的响应。"],
  },
  upstream_unavailable: {
    title: ["Upstream temporarily unavailable", "上游服务暂时不可用"],
    detail: ["Calls are paused after repeated failures.", "多次失败后已暂停请求。"],
  },
  list_loading: {
    title: ["Order list is loading", "正在加载订单列表"],
    detail: ["Try again in a moment.", "请稍后重试。"],
  },
  list_too_large: {
    title: ["Order list too large", "订单列表过大"],
    detail: ["The operator has to raise ORDERS_CACHE__MAX_ORDERS.", "需由管理员调高 ORDERS_CACHE__MAX_ORDERS。"],
  },
  internal_error: {
    title: ["Internal error", "内部错误"],
    detail: ["Report this to the operator, with the request ID.", "请将请求 ID 告知管理员。"],
  },
};
