/** What is answered without the envelope: page, events, metrics, OpenAPI document. Each is made at its first request. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type DocumentName, documents } from './contract.ts';
import type { Events } from './events.ts';
import { HttpError } from './http-error.ts';
import { sendText } from './reply.ts';

export interface DocumentSources {
  readonly version: string;
  readonly events: Events;
  readonly metrics?: () => Promise<string>;
  /** What the buttons of the page offer; without it a rollback. */
  readonly screenActions?: readonly string[] | undefined;
}

type SendDocument = (name: DocumentName, request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** Resolves when the reply has been handed over, for events when their stream has ended. Rejects with HttpError. */
export function documentSender({
  version,
  events,
  metrics,
  screenActions = ['rollback'],
}: DocumentSources): SendDocument {
  let openApi: string | undefined;
  return async (name, request, response) => {
    const { contentType } = documents[name];
    switch (name) {
      case 'screen': {
        const { screenPage } = await import('../screen/page.ts');
        const { html, headers } = await screenPage(screenActions);
        return sendText(response, contentType, html, headers);
      }
      case 'events':
        return events.serve(request, response);
      case 'metrics':
        if (metrics === undefined) throw new HttpError(404, 'no metrics are kept');
        return sendText(response, contentType, await metrics());
      case 'openapi': {
        const { openApiDocument } = await import('./openapi.ts');
        openApi ??= JSON.stringify(await openApiDocument(version));
        return sendText(response, contentType, openApi);
      }
      default:
        name satisfies never;
    }
  };
}
