/**
 * What is downloaded and installed: packages of given sizes, and the same files apart for the peers, which have formats
 * of their own. Built once a folder: a second run with the same BENCH_DIR uses them again.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type BuiltPackage, buildPackage, type FileSpec, randomChunks } from '../fixtures/package-builder.ts';

const MB = 1_000_000;

export interface BenchPackage extends BuiltPackage {
  readonly name: string;
  /** Names of the files below the target folder, and their sizes. */
  readonly files: readonly { readonly name: string; readonly sizeBytes: number }[];
}

/** 300 MB in three files that nothing can compress: what the speed is measured with. */
export function speedPackage(folder: string, targets: string): Promise<BenchPackage> {
  const files = [1, 2, 3].map((seed) => ({ name: `model-${seed}.bin`, random: 100 * MB, seed }));
  return built(folder, 'speed.zip', targets, files);
}

/** 500 MB: half of it stored, half deflated text that is inflated to twice its size. */
export function memoryPackage(folder: string, targets: string): Promise<BenchPackage> {
  const stored = [1, 2].map((seed) => ({ name: `model-${seed}.bin`, random: 125 * MB, seed }));
  const deflated = [3, 4].map((seed) => ({ name: `text-${seed}.txt`, random: 222 * MB, seed, asHex: true }));
  return built(folder, 'memory.zip', targets, [...stored, ...deflated]);
}

/** 100 MB and the program of one service that is restarted. */
export function wirePackage(folder: string, targets: string, service: string): Promise<BenchPackage> {
  const files = [{ name: 'model-1.bin', random: 100 * MB, seed: 1 }];
  return built(folder, `wire-${service}.zip`, targets, files, service);
}

interface RandomFile {
  readonly name: string;
  readonly random: number;
  readonly seed: number;
  /** As hexadecimal digits, which deflate to a little over half. */
  readonly asHex?: boolean;
}

async function built(
  folder: string,
  name: string,
  targets: string,
  randomFiles: readonly RandomFile[],
  service?: string,
): Promise<BenchPackage> {
  const path = join(folder, name);
  const memo = `${path}.json`;
  if (existsSync(memo)) return JSON.parse(readFileSync(memo, 'utf8')) as BenchPackage;
  const files: Record<string, FileSpec> = {};
  const modules: Record<string, unknown>[] = [];
  for (const file of randomFiles) {
    const content = file.asHex ? hexText(file) : { random: file.random, seed: file.seed };
    files[file.name] = { content, compress: file.asHex ?? false };
    modules.push({ name: file.name, src: file.name, dst: join(targets, file.name) });
  }
  if (service !== undefined) {
    files[service] = { content: serviceScript('2.0.0'), mode: 0o755 };
    modules.push({
      name: service,
      src: service,
      dst: join(targets, service),
      process_name: service,
      restart_order: 1,
    });
  }
  const zip = await buildPackage({ version: '2.0.0', modules, files }, path);
  const sizes = randomFiles.map((file) => ({ name: file.name, sizeBytes: file.random }));
  const made: BenchPackage = { ...zip, name, files: sizes };
  writeFileSync(memo, JSON.stringify(made));
  return made;
}

/** Writes the content of a package's stored files to a folder of its own, for the peers' formats. */
export async function writePlainFiles(made: BenchPackage, folder: string): Promise<void> {
  for (const [index, { name, sizeBytes }] of made.files.entries()) {
    if (existsSync(join(folder, name))) continue;
    const file = await open(join(folder, name), 'w');
    for (const chunk of randomChunks(sizeBytes, index + 1)) await file.write(chunk);
    await file.close();
  }
}

/** A service that does nothing but run. */
export function serviceScript(version: string): string {
  return `#!/bin/sh\n# version ${version}\ntrap 'exit 0' TERM\nwhile :; do sleep 0.1; done\n`;
}

function hexText({ random, seed }: RandomFile): Uint8Array {
  const text = Buffer.alloc(random);
  let filled = 0;
  for (const chunk of randomChunks(random / 2, seed)) filled += text.write(chunk.toString('hex'), filled);
  return text;
}
