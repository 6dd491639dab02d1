// Measures inside the daemon how long its event loop was blocked: `node --require` this file, with LOOP_DELAY_FILE set.
// SIGUSR2 begins the measurement, so that the start of the program does not count; the file is written at the exit:
// { samples, wallMaxMs, ownMaxMs, ownP999Ms, waitedShare }.
//
// A timer of one millisecond tells how late it is. On a busy machine it is late because another program has the
// processor: that wait (second number of /proc/self/schedstat, in ns) is taken off in the `own` figures. What is left is
// what the daemon does itself: computing, or a call that does not return.
const { openSync, readSync, writeFileSync } = require('node:fs');
const { monitorEventLoopDelay } = require('node:perf_hooks');

const intervalMs = 1;
const wall = monitorEventLoopDelay({ resolution: intervalMs });
const schedstat = openSync('/proc/self/schedstat', 'r');
const text = Buffer.alloc(128);
const own = [];
let waitedAtAll = 0;
let wallAtAll = 0;

/** Milliseconds this thread has been ready to run without a processor. */
function waitedMs() {
  const length = readSync(schedstat, text, 0, text.length, 0);
  return Number(text.toString('latin1', 0, length).split(' ')[1]) / 1e6;
}

process.on('SIGUSR2', () => {
  wall.enable();
  let before = { at: performance.now(), waited: waitedMs() };
  const sample = () => {
    const now = { at: performance.now(), waited: waitedMs() };
    const [gapMs, gapWaitedMs] = [now.at - before.at, now.waited - before.waited];
    own.push(Math.max(0, gapMs - gapWaitedMs - intervalMs));
    wallAtAll += gapMs;
    waitedAtAll += gapWaitedMs;
    before = now;
  };
  setInterval(sample, intervalMs).unref();
});

process.on('exit', () => {
  const { LOOP_DELAY_FILE: path } = process.env;
  if (path === undefined || own.length === 0) return;
  own.sort((a, b) => a - b);
  const measured = {
    samples: own.length,
    wallMaxMs: wall.max / 1e6 - intervalMs,
    ownMaxMs: own.at(-1),
    ownP999Ms: own[Math.floor(own.length * 0.999)],
    waitedShare: waitedAtAll / wallAtAll,
  };
  writeFileSync(path, JSON.stringify(measured));
});
