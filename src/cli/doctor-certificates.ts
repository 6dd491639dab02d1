/**
 * The doctor on the files of TLS: can they be read, and how long is the client's certificate good? A server tells a device whose
 * certificate has expired no more than that it is not welcome.
 */
import { readFile } from 'node:fs/promises';
import type { Config } from '../config.ts';
import { errorText } from '../errors.ts';
import { checkOf, type Finding } from './finding.ts';
import { tlsFileFaults } from './tls-files.ts';

const check = checkOf('certificates');
const dayMs = 24 * 60 * 60 * 1000;
/** Renewals come after two thirds of the life of a certificate, as a rule: one with less than this share left has missed it. */
const shareLeft = 1 / 5;
/** Of those that live for years. */
const soonMs = 30 * dayMs;

/** Empty where the configuration names no such file. `nowMs`: epoch. */
export async function certificateChecks(config: Config, nowMs: number): Promise<Finding[]> {
  const faults = await tlsFileFaults(config);
  const advice = 'no package can be downloaded over https: is the path right?';
  const unread = faults.map((found) => check.fail(found, advice));
  if (config.cert_file === undefined || faults.some((fault) => fault.startsWith('cert_file'))) return unread;
  return [...unread, await clientCertificate(config.cert_file, nowMs)];
}

/** The worst of the chain in that file. */
async function clientCertificate(path: string, nowMs: number): Promise<Finding> {
  const what = `cert_file: ${path}`;
  let chain: Dated[];
  try {
    chain = await certificatesOf(await readFile(path, 'latin1'));
  } catch (thrown) {
    return check.fail(`${what} holds no certificate: ${errorText(thrown)}`, 'it must be PEM');
  }
  const latest = chain.reduce((a, b) => (b.fromMs > a.fromMs ? b : a));
  const first = chain.reduce((a, b) => (b.untilMs < a.untilMs ? b : a));
  if (nowMs < latest.fromMs)
    return check.fail(
      `${what}: ${latest.subject} is not valid before ${dateText(latest.fromMs)}, and now it is ${dateText(nowMs)}`,
      'set the clock, if that is wrong',
    );
  const until = `${what}: ${first.subject} is valid until ${dateText(first.untilMs)}`;
  if (nowMs > first.untilMs)
    return check.fail(
      `${what}: ${first.subject} has expired, on ${dateText(first.untilMs)}`,
      'servers that ask for it refuse this device: put a new one there, no restart is needed',
    );
  const isSoon = first.untilMs - nowMs < Math.min(soonMs, (first.untilMs - first.fromMs) * shareLeft);
  if (!isSoon) return check.ok(until);
  return check.warn(
    `${until} only`,
    'renew it: then servers that ask for it refuse this device; no restart is needed',
  );
}

interface Dated {
  readonly subject: string;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** Throws where there is none, or one that cannot be read. */
async function certificatesOf(pem: string): Promise<[Dated, ...Dated[]]> {
  const { X509Certificate } = await import('node:crypto');
  const blocks = pem.match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----.*?-----END [^-]*-----/gs) ?? [];
  const [leaf, ...issuers] = blocks.map((block) => {
    const { subject, validFrom, validTo } = new X509Certificate(block);
    return {
      subject: subject.split('\n').join(', '),
      fromMs: Date.parse(validFrom),
      untilMs: Date.parse(validTo),
    };
  });
  if (leaf === undefined) throw new Error('there is no BEGIN CERTIFICATE in it');
  return [leaf, ...issuers];
}

function dateText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace('T', ' ').concat(' UTC');
}
