/**
 * The program. Invariant: nothing is loaded before the memory port is there: a process is largest right after Node has
 * started, and what that has touched is handed back first (docs/performance.md).
 */
import { realMemory } from './host/memory.ts';

async function main(): Promise<void> {
  const memory = await realMemory();
  const { program } = await import('./cli/program.ts');
  process.exitCode = await program(process.argv.slice(2), memory);
}

void main();
