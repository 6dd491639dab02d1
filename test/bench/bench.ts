/**
 * The benchmark: speed and memory of the packed executable against bounds and peers (docs/performance.md says what each
 * line means). Prints a table, writes dist/bench.json; exit code 1 where a target was missed.
 *
 * Usage: tsx test/bench/bench.ts [speed polls reports startup memory fleet files wire hostile adaptive reuse before]     all of them when none is named
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { measureAdaptive } from './adaptive.ts';
import { measureAdaptiveMemory } from './adaptive-memory.ts';
import { measureBefore } from './before.ts';
import { type Row, verdictOf } from './figures.ts';
import { measureFleet } from './fleet.ts';
import { measureHostile } from './hostile.ts';
import { type MachineFacts, machineFacts } from './machine.ts';
import { measureManyFiles } from './many-files.ts';
import { measureMemory } from './memory.ts';
import { measurePolls } from './polls.ts';
import { measureReports } from './reports.ts';
import { type Bench, openBench } from './setting.ts';
import { measureSpeed } from './speed.ts';
import { measureStartup } from './startup.ts';
import { measureWire } from './wire.ts';

const measurements: Readonly<Record<string, (bench: Bench) => Promise<Row[]>>> = {
  speed: measureSpeed,
  polls: measurePolls,
  reports: measureReports,
  startup: measureStartup,
  memory: measureMemory,
  fleet: measureFleet,
  files: measureManyFiles,
  wire: measureWire,
  hostile: measureHostile,
  adaptive: measureAdaptive,
  reuse: measureAdaptiveMemory,
  before: measureBefore,
};

async function main(names: readonly string[]): Promise<void> {
  const wanted = names.length > 0 ? names : Object.keys(measurements);
  const bench = await openBench();
  const rows: Row[] = [];
  let machine: MachineFacts;
  try {
    machine = machineFacts(bench.scratch);
    for (const name of wanted) {
      const measure = measurements[name];
      if (measure === undefined) throw new Error(`${name}: must be one of ${Object.keys(measurements)}`);
      console.log(`measuring ${name}`);
      rows.push(...(await measure(bench)));
    }
  } finally {
    await bench.close();
  }
  const facts = {
    ...machine,
    runtime: `Node ${bench.runtime}`,
    store: bench.store.program,
    rounds: bench.rounds,
  };
  mkdirSync('dist', { recursive: true });
  writeFileSync('dist/bench.json', `${JSON.stringify({ ...facts, rows }, null, 2)}\n`);
  console.log(
    `\n${Object.entries(facts)
      .map(([key, value]) => `${key} ${value}`)
      .join(', ')}\n`,
  );
  for (const line of tableOf(rows)) console.log(line);
  if (rows.some((row) => verdictOf(row) === 'MISSED')) process.exitCode = 1;
}

function tableOf(rows: readonly Row[]): string[] {
  const cells = rows.map((row) => [
    row.id,
    row.what,
    row.value === undefined ? '' : `${round(row.value)} ${row.unit}`.trim(),
    row.target === undefined ? '' : `<= ${row.target} ${row.unit}`.trim(),
    verdictOf(row),
    row.note,
  ]);
  const all = [
    ['', 'what', 'figure', 'target', 'verdict', 'note'],
    ['', '', '', '', '', ''].map(() => '---'),
    ...cells,
  ];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0))) ?? [];
  return all.map((line) => `| ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`);
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

await main(process.argv.slice(2));
