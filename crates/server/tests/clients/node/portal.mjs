import * as oidc from "openid-client";

/** Once, when the application starts. */
export function connect(issuer, clientId, clientSecret) {
  return oidc.discovery(new URL(issuer), clientId, undefined, oidc.ClientSecretBasic(clientSecret));
}

/** Where the browser goes; what `session` holds has to be there when it comes back. */
export async function signIn(config, session, { redirectUri, scope, resource }) {
  session.verifier = oidc.randomPKCECodeVerifier();
  session.state = oidc.randomState();
  session.nonce = oidc.randomNonce();
  return oidc.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri, scope, resource, state: session.state, nonce: session.nonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(session.verifier), code_challenge_method: "S256",
  });
}

/** The browser is back: tokens, with the ID token checked. */
export function signedIn(config, session, address) {
  const { verifier: pkceCodeVerifier, state: expectedState, nonce: expectedNonce } = session;
  return oidc.authorizationCodeGrant(config, address, { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true });
}
