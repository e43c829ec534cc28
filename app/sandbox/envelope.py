"""The vendor's responses: its envelope, its errors in Chinese and English, and gateway pages."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.responses import HTMLResponse, JSONResponse, Response


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error in the envelope: its codes, and its message in Chinese and English."""

    status_code: int
    api_code: int | None
    zh: str
    en: str


class VendorError(Exception):
    """Ends a call with an error reply."""

    def __init__(self, reply: ErrorReply) -> None:
        super().__init__(reply.en)
        self.reply = reply


NOT_LOGGED_IN: Final = ErrorReply(401, 2020, "未登录或没有权限访问此请求", "Not logged in")
UNKNOWN_POOL: Final = ErrorReply(403, 2224, "用户池不存在", "The user pool does not exist")
WRONG_SECRET: Final = ErrorReply(
    403, 2333, "账号不存在或密码错误", "Account not exists or password is incorrect."
)
INVALID_SIGNATURE: Final = ErrorReply(403, 1300, "签名无效", "The signature is invalid")
SIGNATURE_METHOD_MISMATCH: Final = ErrorReply(
    403, 1301, "签名方法不匹配", "Signature method mismatch"
)
SIGNATURE_VERSION_MISMATCH: Final = ErrorReply(
    403, 1302, "签名版本不匹配", "Signature version mismatch"
)
INVALID_DATE: Final = ErrorReply(403, 1303, "时间戳格式错误", "The timestamp cannot be read")
MISSING_DATE: Final = ErrorReply(403, 1304, "缺少 date 请求头", "The date header is missing")
CLOCK_SKEW: Final = ErrorReply(403, 1305, "时间偏差过大", "The clock skew is too large")
NONCE_REUSED: Final = ErrorReply(403, 1306, "随机数已被使用", "The nonce is consumed already")
UNKNOWN_API: Final = ErrorReply(404, None, "接口不存在", "No such API")
ORDER_NOT_FOUND: Final = ErrorReply(404, None, "订单不存在", "The order does not exist")
ORDER_INVALID: Final = ErrorReply(422, 4004, "订单不存在", "The order does not exist")

_THROTTLED: Final = "您的请求已超过最大数量限制\N{FULLWIDTH COMMA}请稍后重试"
_JSON: Final = "application/json; charset=utf-8"


def bad_request(zh: str, en: str) -> VendorError:
    return VendorError(ErrorReply(400, None, zh, en))


def success(data: object, headers: Mapping[str, str]) -> Response:
    """Return `data` in the envelope; the `headers` of the request select the language."""
    body = {"statusCode": 200, **_message("操作成功", "Success", headers), "data": data}
    return JSONResponse(body, media_type=_JSON)


def failure(reply: ErrorReply, headers: Mapping[str, str]) -> Response:
    """Return an error; the HTTP status is 200, too."""
    codes = {"statusCode": reply.status_code}
    if reply.api_code is not None:
        codes["apiCode"] = reply.api_code
    return JSONResponse({**codes, **_message(reply.zh, reply.en, headers)}, media_type=_JSON)


def throttled(retry_after: float | None) -> Response:
    """HTTP 429: the one error with an HTTP status of its own, without `apiCode` and `requestId`."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:.0f}"}
    return JSONResponse({"statusCode": 429, "message": _THROTTLED}, 429, headers, _JSON)


def html_page(http_status: int) -> Response:
    """The error page of a gateway in front of the vendor."""
    title, heading = f"<title>{http_status}</title>", f"<h1>{http_status}</h1>"
    page = f"<html><head>{title}</head><body>{heading}</body></html>"
    return HTMLResponse(page, http_status)


def _message(zh: str, en: str, headers: Mapping[str, str]) -> dict[str, str]:
    language = headers.get("x-authing-lang") or headers.get("x-genauth-lang") or "zh-CN"
    message = en if language.lower().startswith("en") else zh
    return {"message": message, "requestId": str(uuid.uuid4())}
