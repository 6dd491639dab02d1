/** Figures as people read them. Pure. */

/** `52.4 MB`: powers of 1000, as download pages and disks count. */
export function bytesText(bytes: number): string {
  const { unit, scale } = unitFor(bytes);
  return `${inUnit(bytes, scale)} ${unit}`;
}

/** `52.4 MB (52428800 bytes)` */
export function exactText(bytes: number): string {
  return bytes < 1000 ? bytesText(bytes) : `${bytesText(bytes)} (${bytes} bytes)`;
}

/** `1 file`, `2 files` */
export function countText(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** `26.2 of 52.4 MB`: both in the unit of the whole. */
export function bytesOfText(bytes: number, wholeBytes: number): string {
  const { unit, scale } = unitFor(wholeBytes);
  return `${inUnit(bytes, scale)} of ${inUnit(wholeBytes, scale)} ${unit}`;
}

/** `8 s`, `1 min 20 s`, `2 h 5 min`. */
export function durationText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
}

/** Rows with every column but the last as wide as its widest cell. */
export function tableLines(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

function unitFor(bytes: number): { unit: string; scale: number } {
  if (bytes < 1000) return { unit: 'bytes', scale: 1 };
  if (bytes < 1e6) return { unit: 'kB', scale: 1000 };
  return bytes < 1e9 ? { unit: 'MB', scale: 1e6 } : { unit: 'GB', scale: 1e9 };
}

function inUnit(bytes: number, scale: number): string {
  return scale === 1 ? String(bytes) : (bytes / scale).toFixed(scale === 1e9 ? 2 : 1);
}
