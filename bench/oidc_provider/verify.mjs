// Checks access tokens with a library that is neither side's own: reads [{token, keys, issuer, audience, algorithm}] and
// fails on the first that does not verify.
import { readFileSync } from 'node:fs';

import { createLocalJWKSet, jwtVerify } from 'jose';

for (const { token, keys, issuer, audience, algorithm } of JSON.parse(readFileSync(0))) {
  await jwtVerify(token, createLocalJWKSet(keys), { issuer, audience, algorithms: [algorithm], typ: 'at+jwt' });
}
