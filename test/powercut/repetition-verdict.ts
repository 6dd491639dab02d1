/**
 * What a restart does again, and how often it may: bytes are fetched once, the machine restarts once, and a deadly update is
 * not started for ever.
 */
import { limits } from '../../src/limits.ts';
import { livesOf } from './lives.ts';
import type { Scenario } from './scenarios.ts';

/** The mark of a question to the package store. */
export function askedMark(fromByte: number, toByte?: number): string {
  return toByte === undefined ? `asked from ${fromByte}` : `asked for ${fromByte} to ${toByte}`;
}

/**
 * A download that has most of its package here asks for parts, and in one life for none of them twice; for the whole only where
 * the comparison has found what a cut has torn.
 */
export function partsAskedAgain(marks: readonly string[]): string | undefined {
  for (const life of livesOf(marks)) {
    const parts = life.filter((mark) => mark.startsWith('asked for '));
    const twice = parts.find((mark, index) => parts.indexOf(mark) !== index);
    if (twice !== undefined) return `in one life: ${twice}, and again`;
    const whole = life.findIndex((mark) => mark.startsWith('asked from '));
    if (whole >= 0 && !life.slice(0, whole).includes('shown verifying'))
      return `${life[whole]} although the rest is here: ${life.join(', ')}`;
  }
  return undefined;
}

/**
 * A download goes on at least where the last question before the cut had begun: all before was promised to be kept. Bytes
 * that came later may be torn; where the comparison has looked at all of them, it may have found that, and they go.
 */
export function fetchedAgain(marks: readonly string[]): string | undefined {
  let keptBytes = 0;
  for (const life of livesOf(marks)) {
    const isCompared = life.includes('shown verifying');
    const asked = isCompared ? life.slice(0, life.indexOf('shown verifying')) : life;
    const from = asked.flatMap((mark) => /^asked from (\d+)$/.exec(mark)?.[1] ?? []).map(Number);
    const [first] = from;
    if (first !== undefined && first < keptBytes)
      return `after a restart the store was asked from byte ${first} on, before it from ${keptBytes}`;
    keptBytes = isCompared ? 0 : (from.at(-1) ?? keptBytes);
  }
  return undefined;
}

/** The mark of a request to restart the machine. */
export function rebootMark(bootId: string): string {
  return `reboot of ${bootId}`;
}

/** Where the power went instead, the machine has restarted, too. Within one boot a request may be repeated. */
export function rebootedAgain(marks: readonly string[]): string | undefined {
  const boots = new Set(marks.filter((mark) => mark.startsWith(rebootMark(''))));
  return boots.size > 1
    ? `the machine was to restart ${boots.size} times: ${[...boots].join(', ')}`
    : undefined;
}

/** Of a set that stands: so many lives ended when they had started its programs, and it was started once more. */
export function startedTooOften(
  cutBefore: Scenario['cutBefore'],
  marks: readonly string[],
): string | undefined {
  const lives = livesOf(marks).map((life) => life.some((mark) => mark.startsWith('started ')));
  const ended = lives.slice(0, -1).filter(Boolean).length + cutBefore.filter((at) => at === 'started').length;
  if (lives.at(-1) !== true || ended < limits.installStarts) return undefined;
  return `its programs were started again after ${ended} starts that were cut`;
}
