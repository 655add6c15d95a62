// The peer for issuing: oidc-provider with its own adapter in memory, its access tokens JWTs (RFC 9068) for one of two
// resources, one an algorithm, and opaque for a third: it introspects no others. `node server.mjs CONFIG`.
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import https from 'node:https';

import { Provider } from 'oidc-provider';

const config = JSON.parse(readFileSync(process.argv[2]));
const scope = 'system/Patient.rs user/Patient.rs';

const provider = new Provider(config.issuer, {
  clients: [{
    ...config.client,
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    redirect_uris: [config.redirect_uri],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
    scope,
  }],
  cookies: { keys: ['for this run alone'] },
  features: {
    clientCredentials: { enabled: true },
    // Its own pages: any name and any password will do.
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(_, resource) {
        const algorithm = Object.keys(config.resources).find((name) => config.resources[name] === resource);
        const common = { scope, audience: resource, accessTokenTTL: 3600 };
        if (algorithm === 'opaque') return { ...common, accessTokenFormat: 'opaque' };
        return { ...common, accessTokenFormat: 'jwt', jwt: { sign: { alg: algorithm } } };
      },
    },
  },
  issueRefreshToken: () => true,
  jwks: { keys: keys(config.keys) },
  rotateRefreshToken: true,
  scopes: scope.split(' '),
});

https.createServer({
  cert: readFileSync(`${config.tls}/cert.pem`),
  key: readFileSync(`${config.tls}/key.pem`),
  minVersion: 'TLSv1.3',
  keepAliveTimeout: 600_000,
}, provider.callback()).listen(config.port, '127.0.0.1');

function keys(path) {
  if (!existsSync(path)) {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    writeFileSync(path, JSON.stringify([
      { ...rsa.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: 'rsa' },
      { ...p256.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'p256' },
    ]));
  }
  return JSON.parse(readFileSync(path));
}
