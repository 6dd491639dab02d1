/** Steps that several suites take: a package without services, an update and a rollback that must succeed. */
import * as assert from 'uvu/assert';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import type { Daemon } from './daemon.ts';
import type { Device } from './harness.ts';

/** A package that touches the data file only: no service is stopped, so nothing is waited for. */
export function dataOnly(device: Device, version: string): PackageSpec {
  return {
    version,
    modules: [{ name: 'data', src: 'model.bin', dst: device.dataFile }],
    files: { 'model.bin': `model of ${version}` },
  };
}

/** Rejects where the update does not succeed. */
export async function installed(device: Device, daemon: Daemon, spec: PackageSpec): Promise<void> {
  const { stage, error } = await device.install(daemon, spec);
  assert.is(stage, 'success', error ?? '');
}

export async function rolledBack(daemon: Daemon, version?: string): Promise<void> {
  const reply = await daemon.post('rollback', version === undefined ? {} : { version });
  assert.is(reply.code, 200, reply.msg);
  const { stage, error } = await daemon.reach('success', 'failed');
  assert.is(stage, 'success', error ?? '');
}
