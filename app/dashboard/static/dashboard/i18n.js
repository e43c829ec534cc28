/** The texts of the page in English and Chinese, and the functions that translate. */

/** @typedef {"en" | "zh"} Language */

/** @type {Record<string, [en: string, zh: string]>} */
const MESSAGES = {
  skip: ["Skip to the orders", "跳到订单表格"],
  sandbox: ["Sandbox: these orders are invented.", "沙箱：这些订单是虚构的。"],
  title: ["Orders", "订单"],
  language: ["Language", "语言"],
  sign_out: ["Forget the key", "忘记密钥"],
  "login.title": ["Who asks?", "请先表明身份"],
  "login.base": ["Address of the API", "API 地址"],
  "login.key": ["API key", "API 密钥"],
  "login.submit": ["Show the orders", "显示订单"],
  "login.privacy": [
    "The key stays in the memory of this page. It is neither stored nor put into the address, and is forgotten when the page is closed.",
    "密钥只留在本页面的内存中，不会被存储，也不会写入网址；关闭页面即忘记。",
  ],
  "login.not_found": [
    "There is no order API beside this page. Say where it is.",
    "本页面旁边没有订单 API，请填写它的地址。",
  ],
  "login.required": ["This API wants to know who asks.", "此 API 需要知道是谁在询问。"],
  "login.rejected": ["This key is not accepted.", "此密钥未被接受。"],
  "caller.anonymous": ["Without a key", "无密钥"],

  filters: ["Filters", "筛选"],
  search: ["Search", "搜索"],
  "search.placeholder": ["Order number or package", "订单号或套餐名称"],
  status: ["Status", "状态"],
  type: ["Type", "类型"],
  source: ["Source", "来源"],
  from: ["From", "从"],
  to: ["To", "到"],
  clear: ["Clear all", "全部清除"],
  "filter.selected": ["{name} ({count})", "{name}（{count}）"],

  summary: ["Totals", "汇总"],
  orders: ["Orders", "订单"],
  amount: ["Amount", "金额"],
  "amount.unknown": ["not counting {count} without a readable amount", "未计入 {count} 笔金额不可读的订单"],
  "by.status": ["By status", "按状态"],
  "by.type": ["By type", "按类型"],
  "by.source": ["By source", "按来源"],
  "chart.count": ["Orders by month", "每月订单数"],
  "chart.amount": ["Amounts by month", "每月金额"],
  "chart.description": [
    "Stacked columns by status, {first} to {last}. The table below has the same numbers.",
    "按状态堆叠的柱形图，{first} 至 {last}。下方表格含相同的数字。",
  ],
  "chart.table": ["Show as a table", "以表格显示"],
  "chart.empty": ["Nothing to draw.", "没有可绘制的内容。"],
  "chart.undated": ["{count} without a date are not drawn.", "{count} 笔没有日期的订单未绘出。"],
  "chart.earlier": ["Earlier months stand in the table.", "更早的月份见表格。"],
  "chart.hint": ["Point at a month to read it.", "将指针移到某月上即可读数。"],
  month: ["Month", "月份"],

  created_at: ["Created", "创建时间"],
  order_no: ["Order number", "订单号"],
  package_name: ["Package", "套餐"],
  quantity: ["Quantity", "数量"],
  unit_price: ["Unit price", "单价"],
  actual_amount: ["Amount", "金额"],
  "sort.by": ["Sort by {name}", "按{name}排序"],
  "table.caption": ["Orders, {first} to {last} of {total}", "订单，第 {first} 至 {last} 笔，共 {total} 笔"],
  "table.no_match": ["No order matches these filters.", "没有符合筛选条件的订单。"],
  "table.past_end": ["This page is past the end.", "此页已超出末尾。"],
  "table.empty": ["There are no orders yet.", "还没有订单。"],
  "table.no_number": ["(no number)", "（无订单号）"],
  "change.created": ["new", "新"],
  "change.updated": ["changed", "已变"],
  loading: ["Loading…", "加载中…"],

  pages: ["Pages", "分页"],
  "page.first": ["First", "首页"],
  "page.prev": ["Previous", "上一页"],
  "page.next": ["Next", "下一页"],
  "page.last": ["Last", "末页"],
  "page.of": ["Page {page} of {pages}", "第 {page} 页，共 {pages} 页"],
  "page.size": ["Orders a page", "每页笔数"],
  "count.one": ["1 order", "1 笔订单"],
  "count.many": ["{count} orders", "{count} 笔订单"],

  "download.csv": ["Download CSV", "下载 CSV"],
  "download.ndjson": ["Download NDJSON", "下载 NDJSON"],
  "download.busy": ["Preparing the file…", "正在准备文件…"],
  "download.done": ["{name} has been downloaded.", "{name} 已下载。"],
  "download.failed": ["The download failed: {reason}", "下载失败：{reason}"],

  "live.live": ["Live", "实时"],
  "live.off": ["Not live", "非实时"],
  "live.reconnecting": ["Live, waiting for the upstream", "实时，正在等待上游"],
  "live.changed.one": ["1 order changed.", "1 笔订单有变动。"],
  "live.changed.many": ["{count} orders changed.", "{count} 笔订单有变动。"],
  "live.reset": ["Much has changed: everything was read again.", "变动较多：已全部重新读取。"],

  as_of: ["As of {time}", "截至 {time}"],
  "as_of.age": ["{age} old", "{age}前"],
  "freshness.fresh": ["fresh", "新鲜"],
  "freshness.stale": ["being refreshed", "正在刷新"],
  "freshness.kept": ["kept", "保留的旧数据"],
  "reason.upstream_timeout": ["upstream not answering", "上游没有应答"],
  "reason.upstream_unreachable": ["upstream not reachable", "无法连接上游"],
  "reason.upstream_throttled": ["upstream is throttling", "上游正在限流"],
  "reason.upstream_unavailable": ["upstream not available", "上游不可用"],
  "reason.upstream_credential_rejected": ["upstream rejects our credential", "上游拒绝了凭证"],
  "reason.other": ["upstream failing", "上游出错"],
  inconsistent: [
    "The list changed while it was read: an order may be missing here, none stands twice.",
    "读取期间列表有变化：这里可能缺少某笔订单，但不会重复。",
  ],
  "warnings.one": ["1 value could not be read and was left out.", "有 1 个值无法读取，已略去。"],
  "warnings.many": [
    "{count} values could not be read and were left out.",
    "有 {count} 个值无法读取，已略去。",
  ],
  "responses.one": ["1 upstream answer", "1 个上游应答"],
  "responses.many": ["{count} upstream answers", "{count} 个上游应答"],
  "responses.newest": ["the newest:", "最新的："],

  "problem.loading": [
    "Reading the whole list: {loaded} of {total} orders so far.",
    "正在读取完整列表：已读 {loaded} / {total} 笔。",
  ],
  "problem.loading.start": ["Reading the whole list…", "正在读取完整列表…"],
  "problem.retrying": ["It will be tried again in {seconds} s.", "{seconds} 秒后重试。"],
  "problem.retry": ["Try again now", "立即重试"],
  "problem.help": ["What this means", "这是什么意思"],
  "problem.request_id": ["Request id", "请求 ID"],
  "problem.upstream_request_id": ["Upstream request id", "上游请求 ID"],
  "problem.copy": ["Copy", "复制"],
  "problem.copied": ["Copied.", "已复制。"],
  "problem.older": ["What is shown below was read before.", "下面显示的是之前读取的内容。"],
  "problem.network": ["The proxy cannot be reached", "无法连接代理"],
  "problem.network.detail": [
    "It did not answer, or does not permit this page's origin to ask.",
    "它没有应答，或不允许本页面的来源访问。",
  ],
  "problem.not_orders_api": ["This is not an order API", "这不是订单 API"],
  "problem.not_orders_api.detail": ["What answered does not speak its contract.", "应答方并不遵循其契约。"],

  "detail.title": ["Order {number}", "订单 {number}"],
  "detail.close": ["Close", "关闭"],
  "detail.payment": ["Payment", "支付"],
  "detail.payment.none": ["No payment is known.", "没有已知的支付。"],
  "detail.payment.forbidden": ["Your key may not read payments.", "您的密钥无权读取支付信息。"],
  channel_order_no: ["Channel order number", "渠道订单号"],
  paid_amount: ["Paid", "支付金额"],
  paid_at: ["Paid at", "支付时间"],
  paid_account: ["Account", "账户"],
  status_code: ["Upstream's status code", "上游状态码"],
  method: ["Method", "方式"],

  "value.unknown": ["Unknown", "未知"],
  "value.unpaid": ["Unpaid", "待支付"],
  "value.paid": ["Paid", "已支付"],
  "value.completed": ["Completed", "已完成"],
  "value.cancelled": ["Cancelled", "已取消"],
  "value.expired": ["Expired", "已过期"],
  "value.new": ["New", "新购"],
  "value.upgrade": ["Upgrade", "升级"],
  "value.renewal": ["Renewal", "续费"],
  "value.overdue_correction": ["Overdue correction", "逾期冲正"],
  "value.overflow_correction": ["Overflow correction", "超量冲正"],
  "value.license": ["License", "许可证"],
  "value.offline": ["Offline", "线下"],
  "value.admin": ["Admin", "管理员"],
  "value.self_service": ["Self-service", "自助"],
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
