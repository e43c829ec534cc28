// An OpenID provider for tests. Argument: JSON with `redirectUris`.
// Prints its issuer as the line `issuer: URL`. It runs until its standard input is closed.
//
// Nobody has to type: whoever comes to sign in is the person that was set last.
// PUT /test/person {"sub","name","roles"}   who signs in from now on
// POST /test/rotate {"keep": boolean}       sign with a new key; keep publishing the old one, or not

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import Provider from "oidc-provider";

const options = JSON.parse(process.argv[2] ?? "{}");
const API = "urn:orders-api";
const MOUNT = "/oidc";

let person = { sub: "alice", name: "Alice Example", roles: ["billing"] };
let keys = [];
let provider;
let issuer;
let rotations = 0;

function rotate({ keep }) {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const kid = `key-${++rotations}`;
  const key = { ...privateKey.export({ format: "jwk" }), kid, alg: "RS256", use: "sig" };
  // The first fitting key signs.
  keys = keep ? [key, ...keys] : [key];
  provider = createProvider();
}

function createProvider() {
  const created = new Provider(issuer, {
    jwks: { keys },
    cookies: { keys: ["a secret for the cookies of tests"] },
    clients: [
      {
        client_id: "service",
        client_secret: "service-secret",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      },
      {
        client_id: "orders-dashboard",
        client_secret: "dashboard-secret",
        redirect_uris: options.redirectUris ?? [],
      },
    ].filter((client) => client.client_id === "service" || client.redirect_uris.length > 0),
    scopes: ["openid", "profile", "email", "orders"],
    claims: { openid: ["sub"], profile: ["name", "roles"] },
    conformIdTokenClaims: false,
    extraTokenClaims: (_, token) => ({ roles: token.kind === "ClientCredentials" ? ["billing"] : [] }),
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ ...person, sub }) }),
    interactions: { url: (_, interaction) => `${MOUNT}/sign-in/${interaction.uid}` },
    // Whoever has signed in has agreed to everything.
    loadExistingGrant: async (context) => {
      const { client, session, params } = context.oidc;
      const grant = new context.oidc.provider.Grant({
        clientId: client.clientId,
        accountId: session.accountId,
      });
      grant.addOIDCScope(params.scope);
      await grant.save();
      return grant;
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_, client) => (client.clientId === "service" ? API : undefined),
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          audience: "orders-api",
          scope: "orders",
          accessTokenFormat: "jwt",
          accessTokenTTL: 600,
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
  });
  created.on("server_error", (_, error) => console.error(error));
  return created;
}

const server = createServer(async (request, response) => {
  if (request.url.startsWith("/test/")) {
    const body = JSON.parse((await text(request)) || "{}");
    if (request.url === "/test/rotate") rotate(body);
    else person = body;
    response.writeHead(204).end();
    return;
  }
  if (!request.url.startsWith(`${MOUNT}/`)) {
    response.writeHead(404).end();
    return;
  }
  if (request.url.startsWith(`${MOUNT}/sign-in/`)) {
    const login = { accountId: person.sub };
    await provider.interactionFinished(request, response, { login });
    return;
  }
  request.originalUrl = request.url;
  request.baseUrl = MOUNT;
  request.url = request.url.slice(MOUNT.length);
  provider.callback()(request, response);
});

server.listen(0, "127.0.0.1", () => {
  issuer = `http://127.0.0.1:${server.address().port}${MOUNT}`;
  rotate({ keep: false });
  console.log(`issuer: ${issuer}`);
});
process.stdin.on("end", () => process.exit(0)).resume();
