/**
 * What becomes of a cancellation by the server. Pure.
 *
 *     our order is                          move
 *     unknown, ended, offered, gone         agree
 *     downloading, verifying, waiting       stop it, then agree
 *     installing, nothing switched          stop it and wait for its end, then agree; came too late: refuse
 *     switching, restarting                 refuse: files are being replaced; its end follows
 *     ended, its end not told               tell the end, which wins
 */
import type { Device } from './decide.ts';
import type { Memory } from './memory.ts';

export type CancelMove = 'agree' | 'stop' | 'refuse' | 'tellEnd';

export function onCancel({ order, owed }: Memory, device: Device, id: string): CancelMove {
  if (owed?.id === id) return 'tellEnd';
  if (order?.id !== id || device.order !== id) return 'agree';
  return device.stage === 'rebooting' ? 'refuse' : 'stop';
}
