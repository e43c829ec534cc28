"""Where a browser may go after sign-in: no spelling of another site is accepted."""

import pytest

from app.identity.return_to import MAX_CHARS, is_valid_return_to

LISTED = ("https://page.example", "http://localhost:3000")


@pytest.mark.parametrize(
    "text",
    [
        "/",
        "/dashboard",
        "/dashboard?status=paid&tz=Asia/Shanghai&q=%E4%BC%81#x",
        "/dashboard?next=https://other.example//a",
        "/orders/dashboard",
        "https://page.example",
        "https://page.example/",
        "https://page.example/a?b=c",
        "http://localhost:3000/x",
        "/" + "a" * (MAX_CHARS - 1),
    ],
)
def test_a_path_or_a_page_of_a_listed_origin_is_accepted(text: str) -> None:
    assert is_valid_return_to(text, LISTED)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dashboard",
        "//other.example",
        "///other.example",
        "/\\other.example",
        "\\/other.example",
        "/a\\..\\..//other.example",
        "/%2Fother.example",
        "/%2f%2fother.example",
        "/%5Cother.example",
        "/%252Fother.example",
        "/%25252Fother.example",
        "/a//other.example",
        "/./other.example",
        "/.//other.example",
        "/..",
        "/%2e%2e/other.example",
        "/a/..%2f..%2f/other.example",
        "/\t/other.example",
        "/%09/other.example",
        "/\n/other.example",
        "/%0d%0aLocation:%20https://other.example",
        " /dashboard",
        "/dash board",
        "/\u2028",
        "/\u3002other.example",
        "https://other.example",
        "HTTPS://other.example",
        "https:other.example",
        "https:/other.example",
        "http:\\\\other.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://page.example/",
        "https://page.example.other.example",
        "https://page.example@other.example",
        "https://page.example:443/",
        "https://PAGE.example/",
        "http://page.example/",
        "https://page.example//other.example",
        "https://page.example/\\other.example",
        "https://page.example\\@other.example",
        "https://page.example?x",
        "/" + "a" * MAX_CHARS,
    ],
    ids=ascii,
)
def test_nothing_that_could_lead_to_another_site_is_accepted(text: str) -> None:
    assert not is_valid_return_to(text, LISTED)
