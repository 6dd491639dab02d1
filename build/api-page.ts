/** Writes docs/api.md from the OpenAPI document that the daemon serves: `npx tsx build/api-page.ts`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openApiDocument } from '../src/http/openapi.ts';

/** The parts of JSON Schema and OpenAPI that the document has. */
interface Schema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly format?: string;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly default?: unknown;
}
type Content = Readonly<Record<string, { readonly schema: Schema }>>;
interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly requestBody?: { readonly required: boolean; readonly content: Content };
  readonly responses: { readonly 200: { readonly content: Content } };
}
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>;

/** One request for each endpoint that takes a body, by its operation's name. */
export const samples: Readonly<Record<string, object>> = {
  download: {
    version: '1.5.0',
    package_url: 'https://store.example/p-1.5.0.zip?signature=...',
    package_name: 'p-1.5.0.zip',
    package_size: 33554432,
    package_md5: '9e107d9d372bb6826bd81d3542a419d6',
  },
  update: { version: '1.5.0' },
  hold: { owner: 'device-api', reason: 'a print is running', ttl_s: 60 },
  release: { owner: 'device-api' },
  cancel: {},
  rollback: { version: '1.5.0' },
  askFleet: { poll: true },
  startAudit: { repair: true },
};

/** The endpoints of the document, in its order. */
async function operations(): Promise<{ method: string; path: string; operation: Operation }[]> {
  const { paths } = await openApiDocument('');
  return Object.entries(paths as Paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
}

/** The whole page. The program's version is not in it, so that a release alone does not change it. */
export async function apiPage(): Promise<string> {
  const all = await operations();
  const rows = all.map(({ method, path, operation }) => {
    const title = `${method} ${path}`;
    return `| [\`${title}\`](#${anchor(title)}) | ${operation.summary} |`;
  });
  return `# The HTTP API

Port 12315 on 127.0.0.1, or a unix socket (\`--socket\`). \`GET /openapi.json\` has the same for machines. How to use it, with
programs in three languages: [integration.md](integration.md).

- Requests and replies are JSON (\`Content-Type: application/json\`, at most 64 KiB), where nothing else is said.
- **The outcome is \`code\` in the body; the HTTP status is 200** on each endpoint of the table that answers in the envelope:
  \`{"code":200,"msg":"success","data":{...}}\` or \`{"code":409,"msg":"CODE: text with the facts"}\`.
- A request that reached no endpoint gets a plain HTTP status and the same envelope; see
  [troubleshooting.md](troubleshooting.md#answers-that-are-not-200).
- With \`--token-file\`, every request carries \`Authorization: Bearer TOKEN\`, except \`GET /\` and \`GET /healthz\`.
- \`GET\` also answers \`HEAD\`. Fields that an endpoint does not know are ignored.

| endpoint | does |
|---|---|
${rows.join('\n')}

${all.map(({ method, path, operation }) => section(method, path, operation)).join('\n')}
<!-- Made by build/api-page.ts from the OpenAPI document of src/http/openapi.ts. -->
`;
}

function section(method: string, path: string, operation: Operation): string {
  const parts = [`## ${method} ${path}`, operation.summary];
  const request = operation.requestBody?.content['application/json']?.schema;
  if (request !== undefined) {
    if (Object.keys(request.properties ?? {}).length === 0) parts.push('Request: nothing, or `{}`.');
    else {
      const left = operation.requestBody?.required === true ? '' : ' (the body may be left out)';
      const sample = JSON.stringify(samples[operation.operationId], undefined, 2);
      parts.push(`Request${left}:\n\n${table(request)}`, `\`\`\`json\n${sample}\n\`\`\``);
    }
  }
  const [[type = '', { schema }] = ['', { schema: {} }]] = Object.entries(operation.responses[200].content);
  const data = schema.anyOf?.[0]?.properties?.data;
  if (data !== undefined) parts.push(`\`data\` of the reply:\n\n${table(data)}`);
  else if (schema.properties !== undefined) parts.push(`\`${type}\`; each event's data:\n\n${table(schema)}`);
  else parts.push(`Answers \`${type}\`.`);
  if (operation.operationId === 'progress')
    parts.push(
      'In stage `failed`, `code` is 500 and `msg` the error; `stage` and `progress` then stand beside `data` as well.',
    );
  if (operation.description !== undefined)
    parts.push(
      operation.description.replace(/`([A-Z0-9_]+)`/g, (_, code: string) => {
        return `[\`${code}\`](troubleshooting.md#${code.toLowerCase()})`;
      }),
    );
  return `${parts.join('\n\n')}\n`;
}

function table(schema: Schema): string {
  const rows = fields(schema, '').map(
    ({ name, schema: field, required }) =>
      `| \`${name}\` | ${describe(field)}${required ? '' : optional(field)} |`,
  );
  return `| field | value |\n|---|---|\n${rows.join('\n')}`;
}

/** Lists of objects become \`list[].field\`. */
function fields(
  schema: Schema,
  prefix: string,
): { readonly name: string; readonly schema: Schema; readonly required: boolean }[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, field]) => {
    const name = prefix + key;
    if (field.items?.properties !== undefined) return fields(field.items, `${name}[].`);
    return [{ name, schema: field, required: schema.required?.includes(key) === true }];
  });
}

function optional(schema: Schema): string {
  return schema.default === undefined
    ? '; may be left out'
    : `; \`${JSON.stringify(schema.default)}\` when left out`;
}

function describe(schema: Schema): string {
  if (schema.anyOf !== undefined) return schema.anyOf.map(describe).join(' or ');
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  switch (schema.type) {
    case 'array':
      return `list of: ${describe(schema.items ?? {})}`;
    case 'integer':
      return `whole number${range(schema)}`;
    case 'string':
      return text(schema);
    case 'boolean':
      return '`true` or `false`';
    case 'null':
      return '`null`';
    default:
      return schema.type ?? 'anything';
  }
}

function range({ minimum, maximum }: Schema): string {
  const least = minimum === undefined ? '' : ` from ${minimum}`;
  return maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? least : `${least} to ${maximum}`;
}

function text({ format, pattern, minLength, maxLength }: Schema): string {
  if (format === 'date-time') return 'time, ISO 8601';
  // An error's text: its pattern is the list of all codes.
  if (pattern?.startsWith('^(VALIDATION_ERROR|') === true) return '`CODE: text`';
  const bounds = [
    format === 'uri' ? 'absolute URL' : 'text',
    pattern === undefined ? '' : `matching \`${pattern.replaceAll('|', '\\|')}\``,
    minLength === undefined ? '' : 'not empty',
    maxLength === undefined ? '' : `at most ${maxLength} characters`,
  ];
  return bounds.filter((part) => part !== '').join(', ');
}

/** As the forges make them of a heading. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^a-z0-9_ -]/g, '')
    .replaceAll(' ', '-');
}

if (process.argv[1] === import.meta.filename)
  writeFileSync(join(import.meta.dirname, '../docs/api.md'), await apiPage());
