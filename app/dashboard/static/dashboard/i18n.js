/** The texts of the page in English and Chinese, and the functions that translate. */

/** @typedef {"en" | "zh"} Language */

/** @type {Record<string, [en: string, zh: string]>} */
const MESSAGES = {
  skip: ["Skip to orders", "跳到订单列表"],
  sandbox: ["Sandbox: these orders are invented.", "沙箱环境：以下订单均为虚构数据。"],
  title: ["Orders", "订单"],
  language: ["Language", "语言"],
  sign_out: ["Sign out", "退出登录"],
  "login.title": ["Sign in", "登录"],
  "login.base": ["API URL", "API 地址"],
  "login.key": ["API key", "API 密钥"],
  "login.submit": ["Sign in", "登录"],
  "login.privacy": [
    "Your key is kept in this page's memory only. It is not stored or added to the URL, and is gone when you close or reload the page.",
    "密钥仅保留在本页面的内存中，不会保存，也不会写入网址；关闭或刷新页面后需要重新输入。",
  ],
  "login.not_found": [
    "No API found at this address. Enter its URL.",
    "在当前地址未找到订单 API，请输入 API 地址。",
  ],
  "login.required": ["Enter your API key to see the orders.", "请输入 API 密钥以查看订单。"],
  "login.rejected": ["Invalid or expired API key.", "API 密钥无效或已过期。"],
  "login.problem": ["{title}. {detail}", "{title}。{detail}"],
  "caller.anonymous": ["Anonymous", "匿名访问"],

  filters: ["Filters", "筛选"],
  search: ["Search", "搜索"],
  "search.placeholder": ["Order number or package", "订单号或套餐名称"],
  status: ["Status", "状态"],
  type: ["Type", "类型"],
  source: ["Source", "来源"],
  from: ["From", "开始日期"],
  to: ["To", "结束日期"],
  clear: ["Clear filters", "清除筛选"],
  "filter.selected": ["{name} ({count})", "{name}（{count}）"],

  summary: ["Summary", "汇总"],
  orders: ["Orders", "订单"],
  amount: ["Amount", "金额"],
  "amount.excluded.one": [
    "Excludes 1 order without a readable amount.",
    "不含 1 笔金额无法识别的订单。",
  ],
  "amount.excluded.many": [
    "Excludes {count} orders without a readable amount.",
    "不含 {count} 笔金额无法识别的订单。",
  ],
  "by.status": ["By status", "按状态"],
  "by.type": ["By type", "按类型"],
  "by.source": ["By source", "按来源"],
  "chart.count": ["Orders by month", "每月订单数"],
  "chart.amount": ["Amount by month", "每月金额"],
  "chart.label": [
    "{title}. Column chart stacked by status, {first} to {last}. The table below shows the same numbers.",
    "{title}。按状态堆叠的柱状图，{first}至{last}。下方表格列出相同的数据。",
  ],
  "chart.table": ["Show as table", "以表格显示"],
  "chart.empty": ["No data", "暂无数据"],
  "chart.undated.one": ["1 order without a date is not shown.", "1 笔没有日期的订单未显示在图表中。"],
  "chart.undated.many": [
    "{count} orders without a date are not shown.",
    "{count} 笔没有日期的订单未显示在图表中。",
  ],
  "chart.earlier": ["See the table for earlier months.", "更早的月份请查看表格。"],
  "chart.hint": ["Hover over or tap a month for details.", "悬停或点按某个月份可查看明细。"],
  month: ["Month", "月份"],

  created_at: ["Created", "创建时间"],
  order_no: ["Order number", "订单号"],
  package_name: ["Package", "套餐"],
  quantity: ["Quantity", "数量"],
  unit_price: ["Unit price", "单价"],
  actual_amount: ["Amount", "金额"],
  "sort.by": ["Sort by {name}", "按{name}排序"],
  "table.caption": ["Orders {first} to {last} of {total}", "第 {first} 至 {last} 笔订单，共 {total} 笔"],
  "table.no_match": ["No orders match these filters.", "没有符合筛选条件的订单。"],
  "table.past_end": ["This page is past the end of the list.", "页码超出范围，该页没有订单。"],
  "table.empty": ["There are no orders yet.", "暂无订单。"],
  "table.no_number": ["(no number)", "（无订单号）"],
  "change.created": ["new", "新增"],
  "change.updated": ["updated", "已更新"],
  loading: ["Loading…", "加载中…"],

  pages: ["Pagination", "分页"],
  "page.first": ["First", "首页"],
  "page.prev": ["Previous", "上一页"],
  "page.next": ["Next", "下一页"],
  "page.last": ["Last", "末页"],
  "page.of": ["Page {page} of {pages}", "第 {page} 页，共 {pages} 页"],
  "page.size": ["Rows per page", "每页条数"],
  "count.one": ["1 order", "1 笔订单"],
  "count.many": ["{count} orders", "{count} 笔订单"],

  "download.csv": ["Download CSV", "下载 CSV"],
  "download.ndjson": ["Download NDJSON", "下载 NDJSON"],
  "download.busy": ["Preparing the file…", "正在准备文件…"],
  "download.done": ["Downloaded {name}", "已下载 {name}"],
  "download.failed": ["Download failed: {reason}", "下载失败：{reason}"],

  "live.live": ["Live", "实时更新"],
  "live.off": ["Live updates are off", "实时更新已关闭"],
  "live.reconnecting": ["Reconnecting…", "正在重新连接…"],
  "live.created.one": ["1 new order", "1 笔新订单"],
  "live.created.many": ["{count} new orders", "{count} 笔新订单"],
  "live.changed.one": ["1 order changed", "1 笔订单有变动"],
  "live.changed.many": ["{count} orders changed", "{count} 笔订单有变动"],
  "live.reset": ["Many changes; data reloaded", "变动较多，数据已重新加载"],

  as_of: ["As of {time}", "截至 {time}"],
  "as_of.age": ["{age} ago", "{age}前"],
  "freshness.fresh": ["up to date", "最新"],
  "freshness.stale": ["refreshing…", "正在刷新…"],
  "freshness.cached": ["cached copy; {reason}", "缓存数据；{reason}"],
  "reason.upstream_timeout": ["upstream timed out", "上游服务响应超时"],
  "reason.upstream_unreachable": ["upstream unreachable", "无法连接上游服务"],
  "reason.upstream_throttled": ["upstream is rate limiting", "上游服务正在限流"],
  "reason.upstream_unavailable": ["upstream unavailable", "上游服务不可用"],
  "reason.upstream_credential_rejected": ["upstream rejected the server's credential", "上游服务拒绝了服务器的凭证"],
  "reason.other": ["upstream error", "上游服务出错"],
  inconsistent: [
    "The list changed while it was loading: an order may be missing, but none appears twice.",
    "加载期间列表有变动：可能缺少个别订单，但不会重复。",
  ],
  "warnings.one": ["1 value could not be read and is omitted.", "有 1 个值无法识别，已省略。"],
  "warnings.many": ["{count} values could not be read and are omitted.", "有 {count} 个值无法识别，已省略。"],
  "responses.one": ["1 upstream response", "1 个上游响应"],
  "responses.many": ["{count} upstream responses", "{count} 个上游响应"],
  "responses.newest": ["Most recent:", "最近的响应："],

  "problem.loading": [
    "Loading the order list: {loaded} of {total} orders so far",
    "正在加载订单列表：已加载 {loaded} / {total} 笔",
  ],
  "problem.loading.start": ["Loading the order list…", "正在加载订单列表…"],
  "problem.retrying": ["Retrying in {seconds} s", "{seconds} 秒后重试"],
  "problem.retry": ["Retry now", "立即重试"],
  "problem.help": ["What does this mean?", "了解详情"],
  "problem.code": ["Error code", "错误代码"],
  "problem.request_id": ["Request ID", "请求 ID"],
  "problem.upstream_request_id": ["Upstream request ID", "上游请求 ID"],
  "problem.copy": ["Copy", "复制"],
  "problem.copy.label": ["Copy {name}", "复制{name}"],
  "problem.copied": ["Copied", "已复制"],
  "problem.older": ["The data below was loaded earlier.", "下方为此前加载的数据。"],
  "problem.network": ["Cannot reach the server", "无法连接服务器"],
  "problem.network.detail": [
    "The server did not respond, or CORS does not allow this page.",
    "服务器没有响应，或其 CORS 设置不允许本页面访问。",
  ],
  "problem.not_orders_api": ["Unexpected response", "响应不符合预期"],
  "problem.not_orders_api.detail": [
    "The server answered, but is not the orders API.",
    "服务器已响应，但它不是订单 API。",
  ],

  "detail.title": ["Order {number}", "订单 {number}"],
  "detail.close": ["Close", "关闭"],
  "detail.payment": ["Payment", "支付信息"],
  "detail.payment.none": ["No payment recorded", "暂无支付记录"],
  "detail.payment.forbidden": ["You don't have access to payments.", "您没有查看支付信息的权限。"],
  channel_order_no: ["Channel order number", "渠道订单号"],
  paid_amount: ["Amount paid", "支付金额"],
  paid_at: ["Paid at", "支付时间"],
  paid_account: ["Account", "支付账号"],
  status_code: ["Payment status (upstream code)", "支付状态（上游代码）"],
  method: ["Payment method", "支付方式"],

  "value.unknown": ["Unknown", "未知"],
  "value.unpaid": ["Unpaid", "待支付"],
  "value.paid": ["Paid", "已支付"],
  "value.completed": ["Completed", "已完成"],
  "value.cancelled": ["Cancelled", "已取消"],
  "value.expired": ["Expired", "已过期"],
  "value.new": ["New", "新购"],
  "value.upgrade": ["Upgrade", "升级"],
  "value.renewal": ["Renewal", "续费"],
  "value.overdue_correction": ["Overdue correction", "逾期纠正"],
  "value.overflow_correction": ["Overflow correction", "逾量纠正"],
  "value.license": ["License", "许可证"],
  "value.offline": ["Offline", "线下"],
  "value.admin": ["Admin", "管理后台"],
  "value.self_service": ["Self-service", "自助购买"],
  "value.redemption_code": ["Redemption code", "兑换码"],
};

/** @type {Language} */
let current = "en";

/**
 * Set the language and translate the static part of the page.
 * @param {Language} selected
 */
export function setLanguage(selected) {
  current = selected;
  document.documentElement.lang = languageTag(selected);
  document.title = t("title");
  for (const element of document.querySelectorAll("[data-i18n]")) {
    element.textContent = t(element.getAttribute("data-i18n") ?? "");
  }
  for (const element of document.querySelectorAll("[data-i18n-label]")) {
    element.setAttribute("aria-label", t(element.getAttribute("data-i18n-label") ?? ""));
  }
}

/** @returns {Language} */
export function language() {
  return current;
}

/** The locale for numbers and times: the viewer's own if it is in the current language. */
export function locale() {
  return navigator.languages.find((tag) => tag.toLowerCase().startsWith(current)) ?? languageTag(current);
}

/**
 * The BCP 47 tag of a language.
 * @param {Language} language
 */
export function languageTag(language) {
  return language === "zh" ? "zh-Hans" : "en";
}

/**
 * The message for `key` in the current language, with its {placeholders} replaced.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const [en, zh] = MESSAGES[key] ?? [key, key];
  return (current === "zh" ? zh : en).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/**
 * The message for `key.one` or `key.many`.
 * @param {string} key
 * @param {number} count
 */
export function tCount(key, count) {
  return t(`${key}.${count === 1 ? "one" : "many"}`, { count: count.toLocaleString(locale()) });
}

/**
 * The message for a value of an open enum. An unknown value is returned unchanged.
 * @param {string} value
 */
export function tEnum(value) {
  const key = `value.${value}`;
  return key in MESSAGES ? t(key) : value;
}
