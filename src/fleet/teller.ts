/**
 * Tells the server what happens to an order. A word on the way is said once, not waited for, and dropped where it does not get
 * through; there are at most `limits.fleetWords`. The end stays owed, durably, until the server has answered to it (isHeard).
 */
import { limits } from '../limits.ts';
import type { FleetContext } from './context.ts';
import { afterTold } from './ends.ts';
import { ServerFault } from './exchange.ts';
import type { Memory } from './memory.ts';
import { endBody, type Word, wordBody } from './words.ts';

export interface Teller {
  /** Remembers a word for the next `words`. */
  hear(id: string, word: Word): void;
  /** Says the words heard. False: the server has closed the order. Never throws because of the server. */
  words(): Promise<void>;
  say(id: string, word: Word): Promise<void>;
  /** Tells the end that is owed; true where there was one. Throws a ServerFault where it is owed yet. */
  end(): Promise<boolean>;
  /** Is this order still open there? A word decides. */
  isOpen(id: string): Promise<boolean>;
}

export function createTeller({ host, remembered, exchange }: FleetContext): Teller {
  let waiting: { readonly id: string; readonly word: Word }[] = [];
  /** Of orders that are not begun: by id and key. */
  let toldOther = '';

  const post = (id: string, body: object) => exchange.ask('POST', `/deploymentBase/${id}/feedback`, body);

  const say: Teller['say'] = async (id, word) => {
    const { order } = remembered.current();
    const isOurs = order?.id === id;
    if (isOurs && (order.told.includes(word.key) || order.told.length >= limits.fleetWords)) return;
    if (!isOurs && toldOther === `${id} ${word.key}`) return;
    if (isOurs) await remembered.note((memory) => withWord(memory, id, word.key));
    else toldOther = `${id} ${word.key}`;
    try {
      const { status } = await post(id, wordBody(word));
      if (status >= 300) host.log.debug(`fleet: "${word.detail}" was answered with HTTP ${status}`);
    } catch (thrown) {
      if (!(thrown instanceof ServerFault)) throw thrown;
      host.log.debug(`fleet: "${word.detail}" was not heard: ${thrown.message}`);
    }
  };

  return {
    hear: (id, word) => {
      waiting = [...waiting, { id, word }].slice(-limits.fleetWords);
    },
    words: async () => {
      const heard = waiting;
      waiting = [];
      for (const { id, word } of heard) if (remembered.current().order?.id === id) await say(id, word);
    },
    say,
    end: async () => {
      const { owed } = remembered.current();
      if (owed === null) return false;
      let { status } = await post(owed.id, endBody(owed, true));
      if (status === 400) ({ status } = await post(owed.id, endBody(owed, false)));
      if (!isHeard(status))
        host.log.error(`fleet: the end of order ${owed.id} is refused with HTTP ${status}`);
      host.log.info(`fleet: order ${owed.id} has ended with ${owed.finished}, told (HTTP ${status})`);
      await remembered.note((memory) => afterTold(memory, owed, isTaken(status)));
      return true;
    },
    isOpen: async (id) => {
      const word: Word = { key: 'open', execution: 'proceeding', detail: 'in progress' };
      const { status } = await post(id, wordBody(word));
      return isTaken(status);
    },
  };
}

function isTaken(status: number): boolean {
  return status >= 200 && status < 300;
}

/** 404: no such order any more; 405, 410: it has ended already, as an answer to an earlier try was lost. */
function isHeard(status: number): boolean {
  return isTaken(status) || status === 404 || status === 405 || status === 410;
}

function withWord(memory: Memory, id: string, key: string): Memory {
  const { order } = memory;
  return order?.id === id ? { ...memory, order: { ...order, told: [...order.told, key] } } : memory;
}
