'use strict';
/**
 * Writes the code that V8 makes of a program, for the Node, architecture and flags that this is run with. The program is taken to a start
 * that is refused, so that all modules of the daemon have run, and nothing of the machine has a part in what comes of it.
 *
 * Usage: node FLAGS compile.cjs PROGRAM OUTPUT
 */
const { readFileSync, writeFileSync } = require('node:fs');
const { Script } = require('node:vm');

const [program, output] = process.argv.slice(2);
const script = new Script(readFileSync(program, 'latin1'), { filename: 'tope-updater.cjs' });
process.once('exit', (code) => {
  // 2: wrong use. Anything else is no refused start, and not what was to be compiled.
  if (code === 2) writeFileSync(output, script.createCachedData());
  process.exitCode = code === 2 ? 0 : 1;
});
process.argv = [process.execPath, 'tope-updater', 'run', '--config', `${output}.none`];
script.runInThisContext()(require);
