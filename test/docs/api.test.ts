/** docs/api.md is what build/api-page.ts makes of the OpenAPI document now, and its sample requests are good ones. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { apiPage, samples } from '../../build/api-page.ts';
import { type Endpoint, endpoints } from '../../src/http/contract.ts';

const test = suite('docs/api.md');

test('is up to date', async () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/api.md'), 'utf8');
  assert.is(page, await apiPage(), 'run `npx tsx build/api-page.ts`');
});

test('has a sample for each request, and the daemon takes each of them', () => {
  const taking = Object.entries<Endpoint>(endpoints).filter(([, { request }]) => request !== undefined);
  assert.equal(Object.keys(samples).sort(), taking.map(([name]) => name).sort());
  for (const [name, { request }] of taking)
    if (request !== undefined) assert.ok(v.safeParse(request, samples[name]).success, name);
});

test.run();
