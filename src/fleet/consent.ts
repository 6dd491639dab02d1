/**
 * Questions of the server that somebody on the device answers before an order begins (hawkBit's confirmation). A no is told
 * once, and may become a yes.
 */
import { limits } from '../limits.ts';
import { type Link, readConfirmation } from './answers.ts';
import type { FleetContext } from './context.ts';
import { readWith } from './exchange.ts';
import { confirmationBody } from './words.ts';

export interface Question {
  readonly id: string;
  /** Of the first module; null: the set has none. */
  readonly version: string | null;
}

export interface Consent {
  /** What is asked; undefined: nothing. */
  question(): Question | undefined;
  /** Keeps the answer for the next poll. False: nothing is asked. */
  answer(isYes: boolean): boolean;
  /** The server asks; true: it was answered, and there may be more. Throws a ServerFault. */
  asked(link: Link): Promise<boolean>;
  /** The server asks no more. */
  withdraw(): void;
}

export function createConsent({ host, options, remembered, exchange, updater }: FleetContext): Consent {
  let question: Question | undefined;
  let answer: boolean | undefined;

  async function look({ id, query }: Link): Promise<Question | undefined> {
    if (question?.id === id) return question;
    const path = `/confirmationBase/${id}${query}`;
    const { status, body } = await exchange.ask('GET', path, undefined, limits.fleetAnswerBytes);
    if (status !== 200 || body === null) return undefined;
    const { chunks } = readWith(readConfirmation, body, 'confirmationBase');
    answer = undefined;
    return { id, version: chunks[0]?.version ?? null };
  }

  async function tell({ id }: Question, isYes: boolean): Promise<boolean> {
    const by =
      options.confirms && answer === undefined ? 'by the configuration of the device' : 'on the device';
    const body = confirmationBody(isYes, `${isYes ? 'confirmed' : 'declined'} ${by}`);
    const { status } = await exchange.ask('POST', `/confirmationBase/${id}/feedback`, body);
    host.log.info(`fleet: order ${id} is ${isYes ? 'confirmed' : 'declined'} ${by} (HTTP ${status})`);
    answer = undefined;
    if (isYes) question = undefined;
    else await remembered.change((memory) => ({ ...memory, denied: id }));
    return isYes;
  }

  return {
    question: () => question,
    answer: (isYes) => {
      if (question !== undefined) answer = isYes;
      return question !== undefined;
    },
    asked: async (link) => {
      question = await look(link);
      if (question === undefined) return false;
      const isYes = answer ?? (options.confirms ? true : undefined);
      if (isYes !== undefined) return tell(question, isYes);
      const isDenied = remembered.current().denied === link.id;
      if (!isDenied) updater().say(`waits for your consent to version ${question.version ?? '?'}`);
      return false;
    },
    withdraw: () => {
      if (question !== undefined && updater().progress().stage === 'idle') updater().say('nothing to do');
      question = undefined;
      answer = undefined;
    },
  };
}
