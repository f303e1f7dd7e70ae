// An OpenID provider of the tests, on loopback: node provider.mjs MODULES PORT CLIENT SECRET REDIRECT
// Anybody may log in as anybody: the form asks for a name, an e-mail address and how the person proved themselves.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { createServer } from "node:http";

const [modules, port, clientId, clientSecret, redirectUri] = process.argv.slice(2);
const main = createRequire(`${modules}/`).resolve("oidc-provider");
const { default: Provider } = await import(pathToFileURL(main).href);

const people = new Map();
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: clientId,
    client_secret: clientSecret,
    redirect_uris: redirectUri.split(","),
    response_types: ["code"],
    grant_types: ["authorization_code"],
  }],
  claims: {
    openid: ["sub", "acr", "amr"],  // how a person proved themselves is in the ID token, as deployments have it
    profile: ["name", "preferred_username"],
    email: ["email", "email_verified"],
    auth_time: null, iss: null, sid: null,
  },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ["of-tests-only"] },
  pkce: { required: () => true },
  findAccount: (_ctx, sub) => ({
    accountId: sub,
    claims: () => ({ sub, name: `Person ${sub}`, ...people.get(sub) }),
  }),
  // Consent is not what is tested: every client has all that it asks for.
  loadExistingGrant: async (ctx) => {
    const grant = new provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope("openid profile email");
    await grant.save();
    return grant;
  },
});

const FORM = `<!doctype html><meta charset="utf-8"><title>Provider</title><form method="post">
<input name="login" aria-label="login"><input name="username" aria-label="username">
<input name="email" aria-label="email"><input name="acr" aria-label="acr"><input name="amr" aria-label="amr">
<button>Log in at the provider</button></form>`;

async function interact(request, response) {
  if (request.method === "GET") {
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    response.end(FORM);
    return;
  }
  let body = "";
  for await (const chunk of request) body += chunk;
  const given = new URLSearchParams(body);
  const login = given.get("login");
  people.set(login, {
    preferred_username: given.get("username") || undefined,
    email: given.get("email") || undefined,
    email_verified: true,
  });
  const result = { accountId: login, remember: false };
  if (given.get("acr")) result.acr = given.get("acr");
  if (given.get("amr")) result.amr = given.get("amr").split(" ");
  await provider.interactionFinished(request, response, { login: result }, { mergeWithLastSubmission: false });
}

const answer = provider.callback();
createServer((request, response) => {
  if (request.url.startsWith("/interaction/")) {
    interact(request, response).catch((error) => { response.statusCode = 500; response.end(String(error)); });
  } else {
    answer(request, response);
  }
}).listen(Number(port), "127.0.0.1");
