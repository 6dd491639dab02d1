/** What `systemctl show` prints of a unit. Pure. */
import { isUp } from './unit-decision.ts';

export type Properties = Readonly<Record<string, string | undefined>>;

/** What is asked for. */
export const shownProperties = [
  'MainPID',
  'ActiveState',
  'SubState',
  'Type',
  'Result',
  'NRestarts',
  'ExecMainCode',
  'ExecMainStatus',
  'ExecMainStartTimestampMonotonic',
  'NeedDaemonReload',
  'LoadState',
  'UnitFileState',
  'TriggeredBy',
  'Triggers',
  'RequiredBy',
  'RequisiteOf',
  'BoundBy',
  'ConsistsOf',
  'PropagatesStopTo',
].join(',');

/** Lines `NAME=value`. */
export function properties(text: string): Properties {
  const pairs = text.split('\n').map((line): [string, string] => {
    const equals = line.indexOf('=');
    return [line.slice(0, Math.max(equals, 0)), line.slice(equals + 1)];
  });
  return Object.fromEntries(pairs);
}

/** Names of units in one property. */
export function words(value: string | undefined): string[] {
  return (value ?? '').split(' ').filter((word) => word !== '');
}

/** `startedBeforeUs`: when the main process that ran before was started; one that still runs since then is the old program. */
export function whyDead(unit: Properties, startedBeforeUs = 0): string | undefined {
  // A start by hand sets the count to 0: what is above it died and was revived since.
  const revivals = Number(unit.NRestarts ?? 0);
  const wasRevived = unit.SubState === 'auto-restart' || revivals > 0;
  if (isUp(unit.ActiveState) && !wasRevived) {
    const startedUs = Number(unit.ExecMainStartTimestampMonotonic ?? 0);
    const isOld = startedBeforeUs > 0 && startedUs === startedBeforeUs && Number(unit.MainPID ?? 0) > 0;
    return isOld ? `still runs the process ${unit.MainPID} that it ran before` : undefined;
  }
  if (unit.Type === 'oneshot' && unit.ActiveState === 'inactive' && unit.Result === 'success')
    return undefined;
  // CLD_EXITED is 1, CLD_KILLED 2, CLD_DUMPED 3 (systemd.service(5), waitid(2)).
  const how = { '1': 'exit status', '2': 'signal', '3': 'signal' }[unit.ExecMainCode ?? ''];
  return [
    `is ${unit.ActiveState} (${unit.SubState}), result ${unit.Result}`,
    ...(how === undefined ? [] : [`${how} ${unit.ExecMainStatus}`]),
    ...(revivals > 0 ? [`restarted by systemd ${revivals} times`] : []),
  ].join(', ');
}
