// openid-client, which others wrote, through every way of binding tokens: node grants.mjs READY CHARTGATE MTLS_FOLDER

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import * as jose from 'jose'
import * as client from 'openid-client'
import { Agent, fetch as undiciFetch } from 'undici'

const [readyFile, program, folder] = process.argv.slice(2)
const ready = JSON.parse(fs.readFileSync(readyFile))
const issuer = ready.issuer
const resource = `${issuer}/fhir`
const callback = 'http://127.0.0.1:9999/callback'
const scope = 'openid offline_access user/*.rs'
const patient = new URL(`${resource}/Patient/${ready.users.find((user) => user.username === 'dana').patients[0]}`)

function register(id, jwks, more) {
  const file = path.join(folder, `${id}.json`)
  fs.writeFileSync(file, JSON.stringify(jwks))
  const words = ['--config', ready.config_file, 'client', 'add', id, '--kind', 'confidential', '--jwks-file', file]
  const grants = ['authorization_code', 'refresh_token', 'client_credentials'].flatMap((grant) => ['--grant', grant])
  const rest = ['--redirect-uri', callback, '--scope', `${scope} system/*.rs`, '--role', 'service']
  execFileSync(program, [...words, ...grants, ...rest, ...more], { stdio: 'ignore' })
}

/** A person at a browser: cookies, redirects, forms. */
async function walk(start) {
  const cookies = new Map()
  const visit = async (url, init = {}) => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await fetch(url, { redirect: 'manual', ...init, headers: cookie ? { cookie } : {} })
    for (const set of answer.headers.getSetCookie()) {
      const [name, value] = set.split(';')[0].split('=')
      cookies.set(name, value)
    }
    return answer
  }
  const dana = ready.users.find((user) => user.username === 'dana')
  let answer = await visit(start)
  for (let step = 0; step < 12; step++) {
    if (answer.status === 303) {
      const target = new URL(answer.headers.get('location'), issuer)
      if (target.origin !== issuer) return target
      answer = await visit(target)
      continue
    }
    const page = await answer.text()
    const body = new URLSearchParams()
    for (const [, name, value] of page.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)) body.append(name, value)
    if (page.includes('name="password"')) {
      body.append('username', 'dana')
      body.append('password', dana.password)
    } else body.append('decision', 'approve')
    const [, action] = page.match(/<form method="post" action="([^"]*)"/)
    answer = await visit(new URL(action, issuer), { method: 'POST', body })
  }
  throw new Error('the pages do not end')
}

async function signs(id) {
  const { publicKey, privateKey } = await jose.generateKeyPair('ES256', { extractable: true })
  const jwk = { ...(await jose.exportJWK(publicKey)), kid: `${id}-key`, alg: 'ES256', use: 'sig' }
  return { key: { key: privateKey, kid: jwk.kid }, jwks: { keys: [jwk] } }
}

/** DPoP with a signed request, or with one that is pushed and answered by a JWT. */
async function dpop(profile) {
  const id = `openid-client-${profile}`
  const { key, jwks } = await signs(id)
  register(id, jwks, ['--profile', profile, '--auth-method', 'private_key_jwt'])
  const fapi = profile === 'fapi2'
  const metadata = fapi ? { id_token_signed_response_alg: 'ES256' } : {}
  const config = await client.discovery(new URL(issuer), id, metadata, client.PrivateKeyJwt(key))
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))

  const own = await client.clientCredentialsGrant(config, { scope: 'system/*.rs', resource }, { DPoP })
  assert.equal(own.token_type, 'dpop')
  const read = async (token) =>
    (await client.fetchProtectedResource(config, token, patient, 'GET', undefined, undefined, { DPoP })).status
  assert.equal(await read(own.access_token), 200)

  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const parameters = {
    redirect_uri: callback,
    scope,
    resource,
    state: expectedState,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  }
  let start
  if (fapi) {
    client.useJwtResponseMode(config)
    start = await client.buildAuthorizationUrlWithPAR(config, { ...parameters, response_mode: 'jwt' }, { DPoP })
  } else start = await client.buildAuthorizationUrlWithJAR(config, parameters, key)
  const back = await walk(start)
  assert.deepEqual([...back.searchParams.keys()], fapi ? ['response'] : ['code', 'state', 'iss'])
  const checks = { pkceCodeVerifier, expectedState }
  const tokens = await client.authorizationCodeGrant(config, back, checks, undefined, { DPoP })
  assert.equal(tokens.token_type, 'dpop')
  assert.equal(tokens.claims().sub, 'dana')
  assert.equal(await read(tokens.access_token), 200)
  const next = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
  assert.equal(next.refresh_token === undefined, fapi, 'only FAPI clients keep theirs')
  assert.equal((await client.fetchUserInfo(config, next.access_token, 'dana', { DPoP })).sub, 'dana')
  const told = await client.tokenIntrospection(config, next.access_token)
  assert.deepEqual([told.active, told.token_type, typeof told.cnf.jkt], [true, 'DPoP', 'string'])
  await client.tokenRevocation(config, next.access_token)
  assert.equal((await client.tokenIntrospection(config, next.access_token)).active, false)
}

/** A certificate, by the endpoints that are published for it. */
async function mtls() {
  const text = (name) => fs.readFileSync(path.join(folder, name), 'utf8')
  const bound = ['--auth-method', 'self_signed_tls_client_auth', '--tls-client-certificate-bound-access-tokens']
  register('openid-client-mtls', JSON.parse(text('certificate.json')), bound)
  const metadata = { use_mtls_endpoint_aliases: true }
  const config = await client.discovery(new URL(issuer), 'openid-client-mtls', metadata, client.TlsClientAuth())
  const connect = { cert: text('certificate.pem'), key: text('certificate.key'), ca: text('ca.pem') }
  const shown = new Agent({ connect })
  config[client.customFetch] = (url, init) => undiciFetch(url, { ...init, dispatcher: shown })
  const tokens = await client.clientCredentialsGrant(config, { scope: 'system/*.rs', resource })
  assert.equal(typeof jose.decodeJwt(tokens.access_token).cnf['x5t#S256'], 'string')
  const base = new URL(config.serverMetadata().mtls_endpoint_aliases.token_endpoint).origin
  const headers = { authorization: `Bearer ${tokens.access_token}` }
  const there = new URL(patient.pathname, base)
  assert.equal((await undiciFetch(there, { headers, dispatcher: shown })).status, 200)
  const bare = new Agent({ connect: { ca: connect.ca } })
  assert.equal((await undiciFetch(there, { headers, dispatcher: bare })).status, 401)
  assert.equal((await undiciFetch(patient, { headers, dispatcher: bare })).status, 401)
}

for (const [name, run] of [['smart', () => dpop('smart')], ['fapi2', () => dpop('fapi2')], ['mtls', mtls]]) {
  await run()
  console.log(`${name} passed`)
}
