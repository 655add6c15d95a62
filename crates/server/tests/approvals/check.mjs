// Verifies an approval from its record in the log, by Node's own cryptography: what was shown, what was signed, and by which key.
// Usage: node check.mjs RECORD.json ORIGIN, with one line of `chartgate audit search --output json`.
import assert from "node:assert/strict";
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const [file, origin] = process.argv.slice(2);
const { event, detail } = JSON.parse(readFileSync(file, "utf8"));
const bytes = (name) => Buffer.from(detail[name], "base64url");
const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
assert.ok(["approval.approve", "emergency.acknowledge"].includes(event));

// The text, as it was shown, is part of what was signed.
const signed = JSON.parse(detail.signed);
assert.equal(signed.displayed_text, detail.displayed_text);
assert.equal(sha256(detail.displayed_text).toString("base64url"), detail.displayed_text_hash);

// The browser: what it was asked to sign, where, and for what.
const client = JSON.parse(bytes("client_data"));
assert.equal(client.type, "webauthn.get");
assert.equal(client.origin, origin);
assert.equal(client.challenge, sha256(detail.signed).toString("base64url"));

// The authenticator: for this place, somebody was there (bit 0), and it verified who (bit 2).
const authenticator = bytes("authenticator_data");
assert.deepEqual(authenticator.subarray(0, 32), sha256(new URL(origin).hostname));
assert.equal(authenticator[32] & 5, 5);

// The key, as a COSE key of ES256: {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
const cose = bytes("public_key");
assert.equal(cose.subarray(0, 10).toString("hex"), "a5010203262001215820");
assert.equal(cose.subarray(42, 45).toString("hex"), "225820");
const [x, y] = [cose.subarray(10, 42), cose.subarray(45)].map((part) => part.toString("base64url"));
const key = createPublicKey({ key: { kty: "EC", crv: "P-256", x, y }, format: "jwk" });
assert.ok(verify("sha256", Buffer.concat([authenticator, sha256(bytes("client_data"))]), key, bytes("signature")));
console.log(`${signed.actor} approved this:\n${signed.displayed_text}`);
