/**
 * Two updaters of the field on the same files from the same server: swupdate (streamed, atomic-install, signed, SHA-256)
 * and mender with its module single-file. Both get the easy case, targets that are not there yet.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, createReadStream, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Timed, timed } from './baseline.ts';
import { writeCpio } from './cpio.ts';
import { isRoot, provideProgram } from './machine.ts';
import type { BenchPackage } from './packages.ts';

export interface Peer {
  readonly name: string;
  /** One whole update, download included. */
  run(): Timed;
}

export interface PeerPlaces {
  /** The content of the package's files. */
  readonly plain: string;
  /** The folder that the package store serves, and its URL for a name. */
  readonly www: string;
  readonly url: (name: string) => string;
  readonly scratch: string;
}

/** The peer, or the reason why it cannot be measured here. */
export type PeerOrReason = Peer | { readonly name: string; readonly skipped: string };

export async function preparePeers(made: BenchPackage, places: PeerPlaces): Promise<PeerOrReason[]> {
  return [await prepareSwupdate(made, places), await prepareMender(made, places)];
}

async function prepareSwupdate(made: BenchPackage, places: PeerPlaces): Promise<PeerOrReason> {
  const name = 'swupdate';
  const missing = provideProgram('swupdate', 'swupdate');
  if (missing !== undefined) return { name, skipped: missing };
  const own = join(places.scratch, 'swupdate');
  const [certificate, key] = [join(own, 'cert.pem'), join(own, 'key.pem')];
  const bundle = join(places.www, 'bench.swu');
  if (!existsSync(bundle)) {
    mkdirSync(own, { recursive: true });
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: own, stdio: 'pipe' });
    const purpose = ['-addext', 'extendedKeyUsage=emailProtection', '-addext', 'keyUsage=digitalSignature'];
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      '/CN=bench',
      '-days',
      '3650',
      '-keyout',
      key,
      '-out',
      certificate,
      ...purpose,
    );
    const images = [];
    for (const file of made.files)
      images.push(`{ filename = "${file.name}"; path = "${join(own, 'target', file.name)}";
        sha256 = "${await sha256Of(join(places.plain, file.name))}"; installed-directly = true;
        properties = { atomic-install = "true"; }; }`);
    writeFileSync(
      join(own, 'sw-description'),
      `software = { version = "1.0.0"; hardware-compatibility: ["1.0"]; files: (${images.join(',')}); }\n`,
    );
    openssl(
      'cms',
      '-sign',
      '-in',
      'sw-description',
      '-out',
      'sw-description.sig',
      '-signer',
      certificate,
      '-inkey',
      key,
      '-outform',
      'DER',
      '-nosmimecap',
      '-binary',
    );
    const members = ['sw-description', 'sw-description.sig'].map((member) => join(own, member));
    writeCpio(bundle, [...members, ...made.files.map((file) => join(places.plain, file.name))]);
  }
  return {
    name,
    run: () => {
      rmSync(join(own, 'target'), { recursive: true, force: true });
      mkdirSync(join(own, 'target'));
      return timed(
        places.scratch,
        `swupdate -k ${certificate} -H bench:1.0 -d '-u ${places.url('bench.swu')} -r 1' >log 2>&1 || { cat log; exit 1; }`,
      );
    },
  };
}

async function prepareMender(made: BenchPackage, places: PeerPlaces): Promise<PeerOrReason> {
  const name = 'mender single-file';
  const missing = provideProgram('mender', 'mender-client');
  if (missing !== undefined) return { name, skipped: missing };
  const artifactInfo = '/etc/mender/artifact_info';
  if (!existsSync(artifactInfo)) {
    if (!isRoot) return { name, skipped: `${artifactInfo} is missing, and only root could write it` };
    writeFileSync(artifactInfo, 'artifact_name=none\n');
  }
  const own = join(places.scratch, 'mender');
  const target = join(own, 'target');
  const artifact = join(places.www, 'bench.mender');
  if (!existsSync(artifact)) await writeMenderArtifact(made, places, { own, target, artifact });
  return {
    name,
    run: () => {
      const data = join(own, 'data');
      for (const path of [target, data]) {
        rmSync(path, { recursive: true, force: true });
        mkdirSync(path, { recursive: true });
      }
      writeFileSync(join(data, 'device_type'), 'device_type=bench\n');
      return timed(
        places.scratch,
        `mender --no-syslog --data ${data} install ${places.url('bench.mender')} >log 2>&1 || { cat log; exit 1; }`,
      );
    },
  };
}

/** An artifact of format 3 with one payload: the content of all files in one. */
async function writeMenderArtifact(
  made: BenchPackage,
  places: PeerPlaces,
  { own, target, artifact }: { own: string; target: string; artifact: string },
): Promise<void> {
  const folders = ['payload', 'header/headers/0000', 'data'].map((name) => join(own, name));
  for (const path of folders) mkdirSync(path, { recursive: true });
  const write = (name: string, text: string) => writeFileSync(join(own, name), text);
  const tar = (...args: string[]) => execFileSync('tar', args, { cwd: own });
  rmSync(join(own, 'payload/all.bin'), { force: true });
  for (const { name } of made.files)
    execFileSync('sh', ['-c', `cat "$0" >> "$1"`, join(places.plain, name), join(own, 'payload/all.bin')]);
  write('payload/dest_dir', `${target}\n`);
  write('payload/filename', 'all.bin\n');
  write('payload/permissions', '644\n');
  write('version', JSON.stringify({ format: 'mender', version: 3 }));
  const provides = { artifact_name: 'bench' };
  const type = 'single-file';
  write(
    'header/header-info',
    JSON.stringify({
      payloads: [{ type }],
      artifact_provides: provides,
      artifact_depends: { device_type: ['bench'] },
    }),
  );
  write(
    'header/headers/0000/type-info',
    JSON.stringify({ type, artifact_provides: { 'rootfs-image.version': '2' } }),
  );
  write('header/headers/0000/meta-data', '');
  tar(
    '-C',
    'header',
    '-czf',
    'header.tar.gz',
    'header-info',
    'headers/0000/type-info',
    'headers/0000/meta-data',
  );
  const payload = ['dest_dir', 'filename', 'permissions', 'all.bin'];
  tar('-C', 'payload', '-cf', 'data/0000.tar', ...payload);
  const sums = [
    ['version', 'version'],
    ['header.tar.gz', 'header.tar.gz'],
    ...payload.map((name) => [`data/0000/${name}`, `payload/${name}`]),
  ];
  rmSync(join(own, 'manifest'), { force: true });
  for (const [name = '', path = ''] of sums)
    appendFileSync(join(own, 'manifest'), `${await sha256Of(join(own, path))}  ${name}\n`);
  tar('-cf', artifact, 'version', 'manifest', 'header.tar.gz', 'data/0000.tar');
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}
