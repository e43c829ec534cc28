"""The vendor's envelope, and its refusals in both languages. Knows no order and no credential."""

import json
import uuid
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failure in the envelope's terms."""

    status_code: int
    api_code: int | None
    zh: str
    en: str


class Refused(Exception):
    """The call is answered with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.en)
        self.refusal = refusal


NOT_LOGGED_IN: Final = Refusal(401, 2020, "未登录或没有权限访问此请求", "Not logged in")
UNKNOWN_POOL: Final = Refusal(403, 2224, "用户池不存在", "The user pool does not exist")
WRONG_SECRET: Final = Refusal(
    403, 2333, "账号不存在或密码错误", "Account not exists or password is incorrect."
)
BAD_SIGNATURE: Final = Refusal(403, 1300, "签名无效", "The signature is invalid")
SIGNATURE_METHOD: Final = Refusal(403, 1301, "签名方法不匹配", "Signature method mismatch")
SIGNATURE_VERSION: Final = Refusal(403, 1302, "签名版本不匹配", "Signature version mismatch")
BAD_TIMESTAMP: Final = Refusal(403, 1303, "时间戳格式错误", "The timestamp cannot be read")
NO_DATE: Final = Refusal(403, 1304, "缺少 date 请求头", "The date header is missing")
CLOCK_SKEW: Final = Refusal(403, 1305, "时间偏差过大", "The clock skew is too large")
REPLAYED: Final = Refusal(403, 1306, "随机数已被使用", "The nonce is consumed already")
NO_SUCH_API: Final = Refusal(404, None, "接口不存在", "No such API")
ORDER_ABSENT: Final = Refusal(404, None, "订单不存在", "The order does not exist")
ORDER_INVALID: Final = Refusal(422, 4004, "订单不存在", "The order does not exist")

THROTTLED_ZH: Final = "您的请求已超过最大数量限制\N{FULLWIDTH COMMA}请稍后重试"


def bad_argument(zh: str, en: str) -> Refusal:
    return Refusal(400, None, zh, en)


def success(data: object, *, english: bool) -> Response:
    return _envelope(
        {
            "statusCode": 200,
            "message": "Success" if english else "操作成功",
            "requestId": str(uuid.uuid4()),
            "data": data,
        }
    )


def failure(refusal: Refusal, *, english: bool) -> Response:
    code = {} if refusal.api_code is None else {"apiCode": refusal.api_code}
    return _envelope(
        {
            "statusCode": refusal.status_code,
            **code,
            "message": refusal.en if english else refusal.zh,
            "requestId": str(uuid.uuid4()),
        }
    )


def throttled(retry_after: int | None) -> Response:
    """The one failure that is an HTTP status too; it has no apiCode and no requestId."""
    answer = _envelope({"statusCode": 429, "message": THROTTLED_ZH}, http_status=429)
    if retry_after is not None:
        answer.headers["Retry-After"] = str(retry_after)
    return answer


def html_page(http_status: int) -> Response:
    """What a gateway in front of the vendor says when nobody answers behind it."""
    page = (
        f"<html><head><title>{http_status}</title></head><body><h1>{http_status}</h1></body></html>"
    )
    return Response(page, status_code=http_status, media_type="text/html")


def _envelope(body: dict[str, object], *, http_status: int = 200) -> Response:
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(content, status_code=http_status, media_type="application/json; charset=utf-8")
