// Starts Swagger UI. A file of its own because the content security policy forbids inline scripts.
if (matchMedia("(prefers-color-scheme: dark)").matches) {
  document.documentElement.classList.add("dark-mode");
}

async function start() {
  const response = await fetch("openapi.json");
  const spec = await response.json();
  // Without ORDERS_SERVER__PUBLIC_URL the document names no server. The API is then where this page
  // is, which may be under a prefix.
  spec.servers ??= [{ url: new URL(".", location.href).href.replace(/\/$/, "") }];
  window.ui = SwaggerUIBundle({
    spec,
    dom_id: "#swagger-ui",
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    deepLinking: true,
    displayRequestDuration: true,
    persistAuthorization: false,
    tryItOutEnabled: true,
    validatorUrl: null,
    // A person who has signed in needs no key: the browser sends the session cookie to this origin.
    requestInterceptor: (request) => {
      if (new URL(request.url, location.href).origin === location.origin) request.headers["X-CSRF"] = "1";
      return request;
    },
  });
}

// After signing out, "back" may show the page as it was before.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

start();
