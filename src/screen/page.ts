/**
 * GET /: the page that shows the progress, in one file, made at its first request. Its headers let the browser run this script
 * and style alone, by digest, talk to this server alone, and show it in no frame, where a button could be clicked unseen.
 */
import { markup } from './markup.ts';
import { screenScript } from './script.ts';
import { style } from './style.ts';

export interface ScreenPage {
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** `actions`: what its buttons offer, beside the history. */
export async function screenPage(actions: readonly string[]): Promise<ScreenPage> {
  const code = await screenScript();
  const look = unindented(style).replaceAll('\n', '');
  const policy = [
    "default-src 'none'",
    `script-src ${await digest(code)}`,
    `style-src ${await digest(look)}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  return {
    html: [
      '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>tope-updater</title>',
      '<meta name="viewport" content="width=device-width,initial-scale=1">',
      '<meta name="color-scheme" content="dark light"><link rel="icon" href="data:,">',
      `<style>${look}</style></head><body data-actions="${actions.join(' ')}">${unindented(markup)}<script>${code}</script></body></html>`,
    ].join(''),
    headers: {
      'Content-Security-Policy': policy.join('; '),
      'X-Frame-Options': 'DENY',
      'Referrer-Policy': 'no-referrer',
    },
  };
}

/** Indentation and empty lines are not sent. */
function unindented(text: string): string {
  return text.replace(/^\s+/gm, '').trimEnd();
}

async function digest(text: string): Promise<string> {
  const { createHash } = await import('node:crypto');
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}
