// A browser's side of Web Push, by libraries of others: `http_ece` opens messages (RFC 8188, RFC 8291), `jose` judges the token
// of whoever sent them (RFC 8292). Usage: node web-push.mjs keys | node web-push.mjs open FILE
import assert from "node:assert/strict";
import { createECDH, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import ece from "http_ece";
import { importJWK, jwtVerify } from "jose";

const [word, file] = process.argv.slice(2);
const ecdh = createECDH("prime256v1");

if (word === "keys") {
  ecdh.generateKeys();
  console.log(JSON.stringify({
    p256dh: ecdh.getPublicKey("base64url"), private: ecdh.getPrivateKey("base64url"),
    auth: randomBytes(16).toString("base64url"),
  }));
} else {
  const { keys, body, authorization, audience } = JSON.parse(readFileSync(file, "utf8"));
  ecdh.setPrivateKey(keys.private, "base64url");
  const opened = ece.decrypt(Buffer.from(body, "base64url"), {
    version: "aes128gcm", privateKey: ecdh, authSecret: keys.auth,
  });
  const [, token, k] = /^vapid t=([\w.-]+), k=([\w-]+)$/.exec(authorization);
  const point = Buffer.from(k, "base64url");
  assert.deepEqual([point.length, point[0]], [65, 4]);
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((part) => part.toString("base64url"));
  const key = await importJWK({ kty: "EC", crv: "P-256", x, y }, "ES256");
  const { payload } = await jwtVerify(token, key, { audience, algorithms: ["ES256"] });
  assert.ok(payload.exp - Date.now() / 1000 <= 24 * 3600, "no longer than a day");
  console.log(JSON.stringify({ text: opened.toString(), claims: payload, k }));
}
