/** The program. Nothing is loaded before the memory port: a process is largest right after Node has started, which is handed back first. */
import { realMemory } from './host/memory.ts';

async function main(): Promise<void> {
  const memory = await realMemory();
  const { program } = await import('./cli/program.ts');
  process.exitCode = await program(process.argv.slice(2), memory);
}

void main();
