/** Ids of updates: their time as text, unique and rising. Pure. */

/** A new id that is later than `latest`, also where the clock says otherwise. Ids sort as text. */
export function nextId(nowMs: number, latest: string | undefined): string {
  const id = idOf(nowMs);
  return latest === undefined || id > latest ? id : idOf(timeOf(latest) + 1);
}

function idOf(epochMs: number): string {
  return new Date(epochMs).toISOString().replace(/[-:.]/g, '');
}

function timeOf(id: string): number {
  return Date.parse(id.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z$/, '$1-$2-$3T$4:$5:$6.$7Z'));
}
