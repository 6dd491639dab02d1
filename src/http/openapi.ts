/** The OpenAPI 3.1 document, made from the schemas of contract.ts (spec section 2). The converter is loaded at the first call. */
import type * as v from 'valibot';
import { apiCode } from '../errors.ts';
import {
  documents,
  type Endpoint,
  EventSchema,
  endpoints,
  FailedProgressSchema,
  HttpErrorSchema,
  RefusalSchema,
  successSchema,
} from './contract.ts';

type Json = { readonly [key: string]: unknown };
type Converter = (schema: v.GenericSchema) => Json;

/** The document as a plain object. `version`: the program's. */
export async function openApiDocument(version: string): Promise<Json> {
  const convert = await loadConverter();
  const operations = new Map<string, Json>();
  for (const [name, endpoint] of Object.entries<Endpoint>(endpoints)) {
    const { method, path } = endpoint;
    const there = operations.get(path);
    operations.set(path, { ...there, [method.toLowerCase()]: operation(name, endpoint, convert) });
  }
  const others = Object.entries(documents).map(([name, { path, contentType, summary }]) => {
    const schema =
      name === 'events' ? convert(EventSchema) : { type: name === 'openapi' ? 'object' : 'string' };
    const responses = { 200: reply('The document.', schema, contentType) };
    return [path, { get: { operationId: name, summary, responses } }];
  });
  return {
    openapi: '3.1.0',
    info: {
      title: 'tope-updater',
      version,
      description:
        'On every documented endpoint the HTTP status is 200 and the outcome is `code` in the body. ' +
        'Other statuses are plain HTTP: the request reached no endpoint.',
    },
    paths: Object.fromEntries([...operations, ...others]),
    components: {
      schemas: { HttpError: convert(HttpErrorSchema) },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
    // Either none, or the token where the daemon was started with one.
    security: [{}, { token: [] }],
  };
}

async function loadConverter(): Promise<Converter> {
  const { toJsonSchema } = await import('@valibot/to-json-schema');
  return (schema) => {
    // JSON Schema has no words for a value's later lower case, nor for checks that are code.
    const { $schema: _, ...json } = toJsonSchema(schema, {
      target: 'draft-2020-12',
      ignoreActions: ['to_lower_case', 'check'],
    });
    return json;
  };
}

function operation(name: string, endpoint: Endpoint, convert: Converter): Json {
  const replies = [successSchema(endpoint.data), ...(name === 'progress' ? [FailedProgressSchema] : [])];
  const refusals = [...endpoint.refusals, 'INTERNAL_ERROR' as const];
  return {
    operationId: name,
    summary: endpoint.summary,
    description: `Refusals: ${refusals.map((code) => `\`${code}\` (${apiCode(code)})`).join(', ')}.`,
    ...(endpoint.request === undefined
      ? {}
      : { requestBody: requestBody(convert(endpoint.request), endpoint.bodyIsOptional !== true) }),
    responses: {
      200: reply('The outcome, in `code`.', { anyOf: [...replies, RefusalSchema].map(convert) }),
      default: reply('The request reached no endpoint.', { $ref: '#/components/schemas/HttpError' }),
    },
  };
}

function requestBody(schema: Json, required: boolean): Json {
  return { required, content: { 'application/json': { schema } } };
}

function reply(description: string, schema: Json, contentType = 'application/json'): Json {
  return { description, content: { [contentType]: { schema } } };
}
