/** A forecast (operations/forecast.ts) in words: one sentence for a question, lists of some lines for `verify`, all of it as JSON. Pure. */
import { listText } from '../deploy/name-list.ts';
import { reasons } from '../deploy/staying.ts';
import type { Forecast } from '../operations/forecast.ts';
import type { List } from '../packed-list.ts';
import { countText } from './figures.ts';

/** `3 files go, 1 edited file is replaced, klipper and device-api restart; from 1.4.0 to 1.5.0` */
export function forecastSentence(forecast: Forecast): string {
  const { files, staying, restarts, stops, removedModules, commands, reboot } = forecast;
  const inTheWay = staying
    .filter(({ reason }) => reason === 'colliding')
    .reduce((sum, { files: others }) => sum + others.length, 0);
  const parts = [
    counted(files.replaced.length, 'file', 'is replaced', 'are replaced'),
    counted(files.added.length, 'file', 'is new', 'are new'),
    counted(files.removed.length, 'file', 'goes', 'go'),
    counted(files.edited.length, 'edited file', 'is replaced', 'are replaced'),
    counted(files.editedRemoved.length, 'edited file', 'goes', 'go'),
    counted(
      files.beside.length,
      'edited file',
      'stays, the new one beside it',
      'stay, the new ones beside them',
    ),
    counted(
      inTheWay,
      'edited file',
      'stays, the new one is not put beside it, as something else stands there',
      'stay, the new ones are not put beside them, as something else stands there',
    ),
    named(removedModules, 'is removed', 'are removed'),
    counted(commands.length, 'command', 'runs', 'run'),
    named(restarts, 'restarts', 'restart'),
    named(stops, 'stops', 'stop'),
    ...(reboot ? ['the device reboots'] : []),
  ].filter((part) => part !== '');
  return `${parts.length === 0 ? 'nothing changes' : parts.join(', ')}; ${stepText(forecast)}`;
}

/** One line for each kind of what happens, with the first of the names. */
export function forecastLines(forecast: Forecast): string[] {
  const { commands, files, staying, removedModules, restarts, stops, unusedUnits, reboot } = forecast;
  const line = (what: string, names: List<string>) =>
    names.length === 0 ? [] : [`${what} (${names.length}): ${listText(names, namesShown)}`];
  const lines = [
    ...line('replaced', files.replaced),
    ...line('replaced though edited', files.edited),
    ...line('new', files.added),
    ...line('removed', files.removed),
    ...line('removed though edited', files.editedRemoved),
    ...line('put beside edited files', files.beside),
    ...staying.flatMap(({ module, reason, files: kept }) =>
      line(`stays of ${module}, as it ${reasons[reason].replace(/^the manifest keeps$/, 'is kept')}`, kept),
    ),
    ...line('modules removed', removedModules),
    ...line('restarts', restarts),
    ...line('stops', stops),
    ...line('not restarted, as systemd does not run here', unusedUnits),
    ...(reboot ? ['the device reboots'] : []),
  ];
  return [
    `on this device: ${stepText(forecast)}`,
    ...(lines.length === 0 && commands.length === 0 ? ['nothing changes'] : lines).map((text) => `  ${text}`),
  ];
}

/** With every name. */
export function forecastReport({ files, staying, commands, ...forecast }: Forecast) {
  return {
    version: forecast.version,
    previous_version: forecast.previousVersion,
    replaced: [...files.replaced],
    replaced_edited: [...files.edited],
    new: [...files.added],
    removed: [...files.removed],
    removed_edited: [...files.editedRemoved],
    put_beside: [...files.beside],
    stays: staying.map(({ module, reason, files: kept }) => ({ module, reason, files: [...kept] })),
    removed_modules: [...forecast.removedModules],
    commands: commands.map(({ module, argv }) => ({ module, argv })),
    restarts: [...forecast.restarts],
    stops: [...forecast.stops],
    unused_units: [...forecast.unusedUnits],
    reboot: forecast.reboot,
  };
}

/** Of a list of `verify`, and of services in a sentence. */
const namesShown = 10;
const servicesShown = 5;

function stepText({ version, previousVersion }: Forecast): string {
  return previousVersion === null
    ? `version ${version} is the first`
    : `from ${previousVersion} to ${version}`;
}

function counted(count: number, what: string, one: string, many: string): string {
  return count === 0 ? '' : `${countText(count, what)} ${count === 1 ? one : many}`;
}

function named(names: readonly string[], one: string, many: string): string {
  if (names.length === 0) return '';
  if (names.length > servicesShown) return `${listText(names, servicesShown)} ${many}`;
  const [last = '', ...others] = names.toReversed();
  const text = others.length === 0 ? last : `${others.reverse().join(', ')} and ${last}`;
  return `${text} ${names.length === 1 ? one : many}`;
}
