"""Sign-in as a whole: its routes and the authentication of sessions, built from settings values."""

from collections.abc import Callable, Collection, Sequence

from pydantic import SecretStr

from app.clock import Clock
from app.edge.caller_limits import CallerLimits
from app.identity.cookie_encryption import CookieEncryption
from app.identity.cookies import CookieFormat
from app.identity.grants import Grants
from app.identity.issuer import Issuer
from app.identity.issuer_client import IssuerClient
from app.identity.login_flow import LoginFlow
from app.identity.login_pages import LoginPages
from app.identity.login_routes import LoginRoutes
from app.identity.login_state import LoginStates
from app.identity.session import Sessions


class Login:
    """Sign-in of people.

    Args:
        issuer: where people sign in.
        client: calls it.
        clock: the source of time.
        client_id: of the client that this server is.
        client_secret: its secret.
        cookie_secrets: newest first.
        scopes: what is requested from the issuer, separated by spaces.
        lifetime: seconds until a session ends.
        grants: what people may do.
        limits: count the sign-ins of an address that fail.
        public_url: origin and prefix as browsers see them, empty on loopback.
        origins: those whose pages may use sessions, besides this one.
        home: the page to which a browser returns by default, as a path below the prefix.
        is_sandbox: whether pages have the banner of the sandbox.

    Attributes:
        sessions: authenticates by the session cookie.
        path: where a person signs in, as browsers see it.
        router: the routes below `/auth`.
    """

    def __init__(
        self,
        issuer: Issuer,
        client: IssuerClient,
        clock: Clock,
        *,
        client_id: str,
        client_secret: SecretStr,
        cookie_secrets: Sequence[SecretStr],
        scopes: str,
        lifetime: float,
        grants: Grants,
        limits: CallerLimits,
        public_url: str,
        origins: Collection[str],
        home: str,
        is_sandbox: Callable[[], bool],
    ) -> None:
        cookies = CookieFormat(secure=public_url.startswith("https://"))
        secrets = [secret.get_secret_value() for secret in cookie_secrets]
        pages = LoginPages(public_url, origins, home, is_sandbox)
        flow = LoginFlow(
            issuer, client, clock, client_id=client_id, client_secret=client_secret, scopes=scopes
        )
        states = LoginStates(CookieEncryption(secrets, "login 1"), cookies, clock)
        self.sessions = Sessions(
            # A session of another issuer or client must not be taken for one of this.
            CookieEncryption(secrets, f"session 1\n{issuer.url}\n{client_id}"),
            cookies,
            clock,
            issuer=issuer.url,
            lifetime=lifetime,
            grants=grants,
            may_use_sessions=pages.may_use_sessions,
        )
        self.path = pages.login_path()
        self.router = LoginRoutes(flow, states, self.sessions, pages, limits).router()
