/**
 * What a device tells of itself: the attributes of DDI's `configData`. Pure. One character outside hawkBit's alphabet refuses
 * them all (measured: umlauts, CJK, `~`), and so do 129 characters or 101 entries: so each is one that it takes.
 */
import type { HistoryEntry } from '../history.ts';
import { limits } from '../limits.ts';

export interface AttributeFacts {
  readonly updaterVersion: string;
  readonly deviceType: string | undefined;
  /** Newest last. */
  readonly history: readonly HistoryEntry[];
  readonly installedVersion: string | undefined;
  /** Of the last audit; undefined: none, or it could not tell. */
  readonly differingFiles: number | undefined;
  /** From the configuration; these outrank none of ours. */
  readonly more: Readonly<Record<string, string>>;
}

export function attributesOf(facts: AttributeFacts): Record<string, string> {
  const last = facts.history.at(-1);
  const own: Record<string, string | undefined> = {
    sw_version: facts.installedVersion,
    hw_boardname: facts.deviceType,
    updater_version: facts.updaterVersion,
    last_kind: last?.kind,
    last_version: last?.version ?? undefined,
    last_outcome: last?.outcome,
    // The code alone: its text is told as feedback, and not at all where the operation was a local one.
    last_error: last?.error?.split(':')[0],
    last_by: last && (last.fleet_action === undefined ? 'local' : 'fleet'),
    last_at: last?.ended_at,
    audit_differing: facts.differingFiles?.toString(),
  };
  const all = Object.entries({ ...facts.more, ...definedOf(own) }).map(
    ([key, value]) => [taken(key), taken(value)] as const,
  );
  return Object.fromEntries(
    all.filter(([key, value]) => key !== '' && value !== '').slice(0, limits.fleetAttributes),
  );
}

function definedOf(values: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
}

function taken(text: string): string {
  return text
    .replace(/[^a-zA-Z0-9_\-!@#$%^&*()+=[\]{}|;:'",.<>/\\? ]/g, '_')
    .slice(0, limits.fleetAttributeChars);
}
