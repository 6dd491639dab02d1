/** One process's share of the broken variants; see in-parallel.ts. */
import { runMutants } from './mutant-run.ts';
import { shareOf } from './share-of.ts';

void (async () => {
  const lines: string[] = [];
  const options = { failuresWanted: 1, seed: 1, recoveries: 0 };
  const outcome = await runMutants(options, (line) => lines.push(line), shareOf);
  console.log(JSON.stringify({ lines, outcome }));
})();
