/** What a server's offer and its cancellation make of what is remembered. Pure; how an order ends is in ends.ts. */
import type { Move } from './decide.ts';
import type { Memory } from './memory.ts';

/** Nothing is begun while another order is open, or an end is owed. */
export function begun(memory: Memory, { order, isAgain }: Extract<Move, { do: 'begin' }>): Memory {
  if (memory.order !== null || memory.owed !== null) return memory;
  const { last } = memory;
  return { ...memory, order, last: isAgain && last !== null ? { ...last, again: last.again + 1 } : last };
}

export function owing(memory: Memory, { owed }: Extract<Move, { do: 'owe' }>): Memory {
  if (memory.order !== null || memory.owed !== null) return memory;
  const { last } = memory;
  return { ...memory, owed, last: last?.id === owed.id ? { ...last, again: last.again + 1 } : last };
}

export function cancelling(memory: Memory, id: string): Memory {
  return memory.order?.id === id ? { ...memory, order: { ...memory.order, cancelling: true } } : memory;
}

/** Offered as before: a cancellation that comes now is a new one. */
export function offeredAgain(memory: Memory, id: string): Memory {
  const { order } = memory;
  if (order?.id !== id || (!order.cancelling && !order.told.includes('rejected'))) return memory;
  return {
    ...memory,
    order: { ...order, cancelling: false, told: order.told.filter((key) => key !== 'rejected') },
  };
}
