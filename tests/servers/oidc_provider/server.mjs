// An OpenID Connect provider for the tests: panva's oidc-provider, with all that it knows in memory.
//
// usage: node server.mjs '{"port": 9400, …}', in a folder with its node_modules. It obeys lines of JSON on its standard
// input, ["order", argument], answers each by a line, {"answer": …} or {"error": "…"}, and ends when its input does.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import dns from 'node:dns';
import http from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

const { Provider } = createRequire(`${process.cwd()}/`)('oidc-provider');

const options = { claimsInIdToken: false, acrValues: ['basic', 'mfa'], redirects: null, ...JSON.parse(process.argv[2]) };
const issuer = `http://localhost:${options.port}`;

const CLAIMS = {
  openid: ['sub', 'amr'],
  email: ['email', 'email_verified'],
  phone: ['phone_number', 'phone_number_verified'],
  address: ['address'],
  groups: ['groups'],
  roles: ['roles', 'realm_access', 'resource_access'],
  profile: ['birthdate', 'family_name', 'gender', 'given_name', 'locale', 'middle_name', 'name', 'nickname', 'picture',
    'preferred_username', 'profile', 'updated_at', 'website', 'zoneinfo'],
};
// What is said in every ID token or by the protocol itself, if it is asked for.
const PROTOCOL = ['acr', 'auth_time', 'iss', 'sid'];

const people = new Map(); // sub → { password, claims }
const stored = new Map(); // 'Model:id' → payload
const seen = []; // [method, path] of each request
const cookieKeys = [randomBytes(16).toString('hex')];
let keys = newKeys();
let provider; // made anew when what it reads only once has changed: its keys and the names of the claims

class Memory {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  payloads() {
    return [...stored].filter(([key]) => key.startsWith(this.key(''))).map(([, payload]) => payload);
  }

  async upsert(id, payload) {
    stored.set(this.key(id), payload);
  }

  async find(id) {
    return stored.get(this.key(id));
  }

  async findByUid(uid) {
    return this.payloads().find((payload) => payload.uid === uid);
  }

  async consume(id) {
    stored.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    stored.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    this.payloads().filter((payload) => payload.grantId === grantId).forEach(({ jti }) => stored.delete(this.key(jti)));
  }
}

function newKeys() {
  const pairs = [generateKeyPairSync('rsa', { modulusLength: 2048 }), generateKeyPairSync('ec', { namedCurve: 'P-256' })];
  return pairs.map(({ privateKey }) => ({ ...privateKey.export({ format: 'jwk' }), use: 'sig' }));
}

/** The claims of each scope; one that we do not know comes with every ID token or userinfo, as a company's own does. */
function claims() {
  const known = [...Object.values(CLAIMS).flat(), ...PROTOCOL];
  const given = [...people.values()].flatMap((person) => Object.keys(person.claims));
  const own = [...new Set(given)].filter((name) => !known.includes(name));
  return { ...CLAIMS, openid: [...CLAIMS.openid, ...own], ...Object.fromEntries(PROTOCOL.map((name) => [name, null])) };
}

const escape = (value) => String(value).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

// Nothing is loaded from elsewhere, not even an icon.
const html = (title, body) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>${title}</title>
<h1>${title}</h1>
${body}
</html>
`;

const loginPage = (login, problem) => html('Sign in to the test provider', `
<form method="post">
<p role="alert">${problem}</p>
<p><label>Login <input name="login" value="${escape(login)}" autocomplete="username" required autofocus></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
<button type="submit">Sign in</button>
<button type="submit" name="cancel" value="yes" formnovalidate>Cancel</button>
</form>`);

const errorPage = (out) => html('The test provider refuses', `
<p role="alert">${Object.entries(out).map(([key, value]) => `${escape(key)}: ${escape(value)}`).join('<br>')}</p>`);

// Not every resolver knows *.localhost.
const { lookup } = dns;
dns.lookup = (name, ...rest) => lookup(name.endsWith('.localhost') ? 'localhost' : name, ...rest);

/** The library's dispatcher refuses to call this machine, where all clients of ours are. */
const fetchHere = (url, { dispatcher, ...rest }) => fetch(url, rest);

/** Nobody is asked for consent: what a client wants is granted. */
async function grantAll(ctx) {
  const { client, session, requestParamOIDCScopes, requestParamClaims } = ctx.oidc;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope([...requestParamOIDCScopes].join(' '));
  grant.addOIDCClaims([...requestParamClaims]);
  await grant.save();
  return grant;
}

function findAccount(ctx, sub) {
  const person = people.get(sub);
  return person && { accountId: sub, claims: () => ({ ...person.claims, sub }) };
}

function build() {
  const names = Object.fromEntries(['interaction', 'resume', 'session'].map((name) => [name, `${name}_${options.port}`]));
  provider = new Provider(issuer, {
    adapter: Memory,
    acrValues: options.acrValues,
    claims: claims(),
    conformIdTokenClaims: !options.claimsInIdToken,
    // Cookies ignore ports, and several of us may be in one browser.
    cookies: { keys: cookieKeys, names },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'HS256'] },
    features: {
      backchannelLogout: { enabled: true },
      claimsParameter: { enabled: true },
      devInteractions: { enabled: false },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource(ctx, form) {
          ctx.body = html('Sign out of the test provider?', `${form}
<button autofocus type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button>`);
        },
        postLogoutSuccessSource(ctx) {
          ctx.body = html('Signed out of the test provider', '');
        },
      },
    },
    fetch: fetchHere,
    findAccount,
    jwks: { keys },
    loadExistingGrant: grantAll,
    pkce: { required: () => true },
    renderError(ctx, out) {
      ctx.type = 'html';
      ctx.body = errorPage(out);
    },
    ttl: { AccessToken: 600, Grant: 86400, IdToken: 600, Interaction: 600, Session: 86400 },
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  provider.on('backchannel.error', (ctx, error) => console.error(error.message));
  if (options.redirects) allow(new RegExp(options.redirects));
}

/** Allow every client what fits the pattern, beside what it has registered. */
function allow(pattern) {
  for (const name of ['redirectUriAllowed', 'postLogoutRedirectUriAllowed']) {
    const registered = provider.Client.prototype[name];
    provider.Client.prototype[name] = function allowed(uri) {
      return pattern.test(uri) || registered.call(this, uri);
    };
  }
}

function show(response, body, status = 200) {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' }).end(body);
}

function withLogin(login) {
  const named = ([sub, { claims: { email } }]) => login && [sub, email].includes(login);
  return [...people].find(named) ?? [];
}

/** What the library asks of a person: the login page, and nothing else. */
async function interact(request, response) {
  const { params, prompt } = await provider.interactionDetails(request, response);
  if (prompt.name !== 'login') return provider.interactionFinished(request, response, { consent: {} });
  if (request.method !== 'POST') return show(response, loginPage(params.login_hint ?? '', ''));
  const form = new URLSearchParams(await text(request));
  if (form.has('cancel')) {
    const refusal = { error: 'access_denied', error_description: 'the person has cancelled the sign-in' };
    return provider.interactionFinished(request, response, refusal);
  }
  const [sub, person] = withLogin(form.get('login'));
  if (!person || person.password !== form.get('password')) {
    return show(response, loginPage(form.get('login') ?? '', 'Wrong login or password.'));
  }
  const essential = prompt.details.acr ?? {};
  const wanted = [...(essential.values ?? [essential.value]), ...(params.acr_values ?? '').split(' ')];
  const acr = person.claims.acr ?? wanted.find((value) => options.acrValues.includes(value)) ?? options.acrValues[0];
  const login = { accountId: sub, acr, amr: person.claims.amr ?? ['pwd'] };
  return provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
}

async function answer(request, response) {
  const { pathname } = new URL(request.url, issuer);
  seen.push([request.method, pathname]);
  if (!pathname.startsWith('/interaction/')) return provider.callback()(request, response);
  try {
    return await interact(request, response);
  } catch (error) {
    console.error(error);
    return show(response, errorPage({ error: error.message }), 400);
  }
}

/** End a person's sessions as the sign-out page does; say which clients were told, and their error if they answered one. */
async function signOut(sub) {
  const told = [];
  for (const { jti } of new Memory('Session').payloads().filter(({ accountId }) => accountId === sub)) {
    const session = await provider.Session.find(jti);
    for (const [clientId, { grantId, sid }] of Object.entries(session.authorizations ?? {})) {
      const client = await provider.Client.find(clientId);
      if (client?.backchannelLogoutUri) {
        const failure = await client.backchannelLogout(sub, sid).then(() => null, (error) => error.message);
        told.push([clientId, failure]);
      }
      for (const model of ['AccessToken', 'AuthorizationCode', 'RefreshToken']) await new Memory(model).revokeByGrantId(grantId);
    }
    await session.destroy();
  }
  return told;
}

const server = http.createServer(answer);
const listen = () => new Promise((resolve) => { server.listen(options.port, '127.0.0.1', resolve); });

const orders = {
  async client(metadata) {
    await new Memory('Client').upsert(metadata.client_id, metadata);
    await provider.Client.find(metadata.client_id); // refuses what a client may not be
  },
  async person({ sub, ...person }) {
    people.set(sub, person);
    build();
  },
  requests: async () => seen,
  async rotate() {
    keys = newKeys();
    build();
  },
  signOut,
  listen,
  async unlisten() {
    const closed = new Promise((resolve) => { server.close(resolve); });
    server.closeAllConnections();
    await closed;
  },
};

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const explain = (error) => ({ error: [error.message, error.error_description].filter(Boolean).join(': ') });

build();
await listen();
say({ answer: 'ready' });
for await (const line of createInterface({ input: process.stdin })) {
  const [order, argument] = JSON.parse(line);
  say(await orders[order](argument).then((result) => ({ answer: result ?? null }), explain));
}
process.exit();
