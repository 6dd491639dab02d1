/** `tope-updater verify`: what a package would deploy where, and whether a device would take it. */

import { basename } from 'node:path';
import { capabilitiesText } from '../capabilities.ts';
import { type Flags, UsageError } from '../config.ts';
import { errorText } from '../errors.ts';
import { blockingFiles } from '../host/blocking-files.ts';
import { freeMemory } from '../host/memory.ts';
import { limits } from '../limits.ts';
import type { Forecast } from '../operations/forecast.ts';
import type { PlanningSettings } from '../operations/prepare.ts';
import { type Inspection, inspectPackage } from '../pack/inspect.ts';
import { downloadBody } from '../pack/pack.ts';
import type { TargetRules } from '../package/targets.ts';
import type { Release, ReleaseModule } from '../release.ts';
import type { CommandInvocation } from './arguments.ts';
import { CommandError } from './failure.ts';
import { bytesText, countText, exactText, tableLines } from './figures.ts';
import { isSet, listFlag, textFlag } from './flags.ts';
import { forecastLines, forecastReport } from './forecast-text.ts';
import { type Foretold, foretell } from './foretell.ts';
import { allNotes } from './notes-text.ts';
import { deviceRules, foreseeInstall } from './on-device.ts';
import { createOutput, type Output } from './output.ts';
import { placeAt } from './place.ts';
import { refusalText, targetRulesOf } from './target-rules.ts';
import { readTrustedKey } from './trusted-key.ts';

/** Throws the device's own refusal. */
export async function verify({ flags, operands }: CommandInvocation): Promise<number> {
  const [place = ''] = operands;
  const path = await packageAt(place);
  const device = isSet(flags, 'on-device') ? await rulesHere(flags) : undefined;
  for (const flag of device === undefined ? ['dir', 'config'] : [])
    if (flags[flag] !== undefined) throw new UsageError(`--${flag} has a meaning with --on-device only`);
  const keys = device?.trustedKeys ?? (await Promise.all(listFlag(flags, 'trust-key').map(readTrustedKey)));
  const rules = device ?? targetRulesOf(flags);
  const host = { files: blockingFiles(), memory: freeMemory };
  const inspection = await inspectPackage(host, path, rules, keys).catch((thrown: unknown) => {
    throw new CommandError(`${place}: a device would refuse it: ${refusalText(thrown)}`, 1, {
      cause: thrown,
    });
  });
  const older = textFlag(flags, 'against');
  const forecast = device && (await foreseen(path, inspection, device, place));
  const foretold = older === undefined ? undefined : await against(path, inspection, older, rules);
  const output = createOutput(process.stdout, process.env);
  if (isSet(flags, 'json')) {
    const download = foretold && {
      from_version: foretold.version,
      ...foretold.traffic,
      ...(isSmall(inspection.sizeBytes) && { reason: smallText }),
    };
    const here = forecast && { on_device: forecastReport(forecast) };
    output.line(JSON.stringify({ ...report(inspection), ...(download && { download }), ...here }));
    return 0;
  }
  print(output, basename(path), inspection);
  for (const line of forecast === undefined ? [] : forecastLines(forecast)) output.line(line);
  const whose =
    device === undefined ? `a device that allows ${rules.allowedRoots.join(', ')}` : 'this device';
  output.line(output.paint('green', `${whose} would take it`));
  if (foretold !== undefined) output.line(downloadText(foretold, inspection.sizeBytes));
  return 0;
}

/** Throws where it is what a package is made of. */
async function packageAt(place: string): Promise<string> {
  const { path, found } = await placeAt(place);
  if (found.isDirectory() || basename(path) === 'manifest.json')
    throw new CommandError(`${place} is no package: tope-updater pack ${place} makes one of it`);
  return path;
}

async function rulesHere(flags: Flags): Promise<PlanningSettings> {
  return deviceRules(flags).catch((thrown: unknown) => {
    throw new CommandError(`--on-device: ${errorText(thrown)}`, 1, { cause: thrown });
  });
}

async function foreseen(
  path: string,
  { release }: Inspection,
  rules: PlanningSettings,
  place: string,
): Promise<Forecast> {
  return foreseeInstall(path, release.version, rules).catch((thrown: unknown) => {
    const isUnread = process.geteuid?.() !== 0 && /EACCES|EPERM/.test(errorText(thrown));
    const what = isUnread
      ? '--on-device: run it as root, who alone may read the records'
      : `${place}: this device would refuse it`;
    throw new CommandError(`${what}: ${refusalText(thrown)}`, 1, { cause: thrown });
  });
}

async function against(
  path: string,
  inspection: Inspection,
  place: string,
  rules: TargetRules,
): Promise<Foretold> {
  const { path: older } = await placeAt(place, '--against');
  const request = downloadBody(
    { version: inspection.release.version, ...inspection },
    'package.zip',
    'https://packages.example/package.zip',
  );
  return foretell(path, request, older, rules).catch((thrown: unknown) => {
    throw new CommandError(`--against ${place}: ${refusalText(thrown)}`, 1, { cause: thrown });
  });
}

function downloadText({ version, traffic }: Foretold, sizeBytes: number): string {
  const { bytes_fetched, requests } = traffic;
  const percent = ((100 * bytes_fetched) / sizeBytes).toFixed(1);
  return (
    `a device with version ${version} would download ${bytesText(bytes_fetched)} of ${bytesText(sizeBytes)} ` +
    `(${percent} %) in ${countText(requests, 'request')}${isSmall(sizeBytes) ? `: ${smallText}` : ''}`
  );
}

const smallText = `a package below ${limits.adaptiveLeastBytes / 1024} KiB is downloaded whole, as asking for parts would cost what it saves`;

function isSmall(sizeBytes: number): boolean {
  return sizeBytes < limits.adaptiveLeastBytes;
}

/** The JSON form; names as in the manifest and in the API. */
function report({ release, sizeBytes, md5, sha256, hasSignature, signed, warnings }: Inspection) {
  return {
    version: release.version,
    package_size: sizeBytes,
    package_md5: md5,
    package_sha256: sha256,
    is_signed: hasSignature,
    signed_by: signed?.keyId ?? null,
    trusted_comment: signed?.trustedComment ?? null,
    compatible: release.compatible ?? null,
    min_version: release.minVersion ?? null,
    reboot: release.reboot,
    notes: release.notes ?? null,
    modules: release.modules.map((module) => ({
      name: module.name,
      dst: module.target,
      files: [...module.files].map(({ target, sizeBytes: size, sha256: digest, link, capabilities }) => ({
        dst: target,
        size,
        sha256: digest ?? null,
        ...(link !== undefined && { link }),
        ...(capabilities !== undefined && { capabilities: capabilitiesText(capabilities) }),
      })),
      exact: module.exact,
      config: module.isTree
        ? module.config
        : [...module.files].some(({ whenThere }) => whenThere === 'config'),
      keep: module.keep,
      before_start: module.commands?.beforeStart ?? [],
      on_undo: module.commands?.onUndo ?? [],
    })),
    remove: release.remove ?? [],
    complete: release.complete ?? false,
    warnings,
  };
}

function print(output: Output, name: string, inspection: Inspection): void {
  const { release, sizeBytes, md5, sha256, warnings } = inspection;
  const unpackedBytes = release.modules.reduce((sum, module) => sum + moduleBytes(module), 0);
  output.line(`${output.paint('bold', name)}: version ${release.version}`);
  const facts = [
    ['size', `${exactText(sizeBytes)}, unpacked ${exactText(unpackedBytes)}`],
    ['md5', md5],
    ['sha256', sha256],
    ['signature', signatureText(inspection)],
    ['for', release.compatible?.join(', ') ?? 'every device'],
    ['from', release.minVersion === undefined ? 'any version' : `version ${release.minVersion} or later`],
    ['after it', release.reboot ? 'the device reboots' : 'no reboot'],
  ];
  for (const line of tableLines(facts)) output.line(`  ${line}`);
  output.line('');
  if (release.notes !== undefined) {
    for (const line of allNotes(release.notes)) output.line(line);
    output.line('');
  }
  const rows = release.modules.map((module) => [
    module.name,
    module.isTree ? treeText(module) : 'file',
    bytesText(moduleBytes(module)),
    module.isTree ? `${module.target}/` : module.target,
    serviceText(module),
  ]);
  const [header = '', ...lines] = tableLines([['module', 'what', 'size', 'to', 'if it changes'], ...rows]);
  output.line(output.paint('bold', header));
  for (const line of lines) output.line(line);
  output.line('');
  const notes = [...release.modules.flatMap(notesOf), ...removalTexts(release)];
  for (const note of notes) output.line(note);
  if (notes.length > 0) output.line('');
  for (const warning of warnings) output.line(output.paint('yellow', `warning: ${warning}`));
}

/** What else a module does to the device: the files it treats apart, and every command that it runs as root. */
function notesOf({ name, exact, config, keep, commands, files, isTree }: ReleaseModule): string[] {
  const isConfig = !isTree && [...files].some(({ whenThere }) => whenThere === 'config');
  return [
    ...(exact ? [`${name}: what is not in the package is removed, whoever put it there`] : []),
    ...(isConfig ? [`${name}: stays where it was edited`] : []),
    ...(config.length > 0 ? [`${name}: stays where it was edited: ${config.join(', ')}`] : []),
    ...(keep.length > 0 ? [`${name}: never replaced or removed: ${keep.join(', ')}`] : []),
    ...[...files].flatMap(({ target, capabilities }) =>
      capabilities === undefined ? [] : `${name}: ${target} gets ${capabilitiesText(capabilities)}`,
    ),
    ...(commands?.beforeStart ?? []).map((argv) => `${name}: runs before the start: ${commandText(argv)}`),
    ...(commands?.onUndo ?? []).map((argv) => `${name}: runs where that is undone: ${commandText(argv)}`),
  ];
}

function removalTexts({ remove = [], complete }: Release): string[] {
  return [
    ...remove.map((name) => `${name}: is removed from the device, its service stopped and disabled`),
    ...(complete ? ['every other module that an update has deployed is removed likewise'] : []),
  ];
}

/** As it could be typed; a text for the shell as it stands in the manifest. */
function commandText(argv: readonly string[]): string {
  const [program, flag, text = ''] = argv;
  if (program === '/bin/sh' && flag === '-c' && argv.length === 3) return text;
  return argv
    .map((word) => (/^[\w./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ');
}

function treeText({ files }: ReleaseModule): string {
  const links = [...files].filter(({ link }) => link !== undefined).length;
  const text = countText(files.length - links, 'file');
  return links === 0 ? text : `${text}, ${countText(links, 'symlink')}`;
}

function moduleBytes(module: ReleaseModule): number {
  return [...module.files].reduce((sum, file) => sum + file.sizeBytes, 0);
}

function signatureText({ hasSignature, signed }: Inspection): string {
  if (signed !== undefined) return `good, key ${signed.keyId}, "${signed.trustedComment}"`;
  return hasSignature ? 'there is one; --trust-key checks it' : 'none';
}

/** What happens to the module's process. */
function serviceText({ service }: ReleaseModule): string {
  const name = service.unit ?? service.processName;
  if (name === undefined) return '-';
  const order = service.restartOrder === undefined ? '' : ` (order ${service.restartOrder})`;
  const health = service.health === undefined ? '' : `, then checks ${service.health.kind}`;
  return `restarts ${name}${order}${health}`;
}
