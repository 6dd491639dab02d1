/**
 * A ring of slots in memory that two threads share: this side fills them, the other empties them. A slot is the other's from
 * when `submitted` counts it until `done` does; one without bytes is the end. Whoever waits looks again every
 * limits.digestLookMs, should a wake-up be lost.
 */
import { limits } from '../limits.ts';

/** What both threads have. */
export interface SharedRing {
  readonly bytes: Uint8Array;
  readonly control: Int32Array;
  /** Where in `control` is what: two counts of slots, then the number of bytes in each slot. */
  readonly at: { readonly submitted: number; readonly done: number; readonly lengths: number };
  readonly slotCount: number;
  readonly slotBytes: number;
  readonly lookMs: number;
}

export interface ByteRing {
  readonly shared: SharedRing;
  /** Copies as much as there is room for; returns how much. */
  fill(bytes: Uint8Array): number;
  /** Hands over what is in the slot at hand; nothing in it is the end. */
  submit(): void;
  /** Slots that were emptied so far. */
  done(): number;
  /** Bytes in the slot that is not handed over yet. */
  filledBytes(): number;
  freeSlots(): number;
  /** Resolves when `done` is another than that, or soon. */
  changed(done: number): Promise<void>;
  /** Whoever waits in changed() looks again. */
  wake(): void;
}

export function byteRing(): ByteRing {
  const bytes = new Uint8Array(new SharedArrayBuffer(slotCount * slotBytes));
  const control = new Int32Array(
    new SharedArrayBuffer((at.lengths + slotCount) * Int32Array.BYTES_PER_ELEMENT),
  );
  let submitted = 0;
  let filled = 0;
  const done = () => Atomics.load(control, at.done);
  const freeSlots = () => slotCount - (submitted - done());

  function submit(): void {
    control[at.lengths + (submitted % slotCount)] = filled;
    submitted += 1;
    filled = 0;
    Atomics.store(control, at.submitted, submitted);
    Atomics.notify(control, at.submitted);
  }

  return {
    shared: { bytes, control, at, slotCount, slotBytes, lookMs: limits.digestLookMs },
    submit,
    done,
    freeSlots,
    filledBytes: () => filled,
    fill(source) {
      let taken = 0;
      while (taken < source.length && freeSlots() > 0) {
        const part = source.subarray(taken, taken + slotBytes - filled);
        bytes.set(part, (submitted % slotCount) * slotBytes + filled);
        taken += part.length;
        filled += part.length;
        if (filled === slotBytes) submit();
      }
      return taken;
    },
    async changed(before) {
      const change = Atomics.waitAsync(control, at.done, before);
      if (!change.async) return;
      let timer: NodeJS.Timeout | undefined;
      const soon = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, limits.digestLookMs);
      });
      await Promise.race([change.value, soon]);
      clearTimeout(timer);
    },
    wake: () => void Atomics.notify(control, at.done),
  };
}

/** More than two, so that the other thread goes on with the next while we are told of the one before. */
const slotCount = 4;
const slotBytes = 128 * 1024;
const at = { submitted: 0, done: 1, lengths: 2 } as const;
