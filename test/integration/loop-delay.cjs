// Measures inside the daemon how long its event loop was blocked: `node --require` this file, with LOOP_DELAY_FILE set.
// SIGUSR2 begins the measurement, so that the start of the program does not count; the file is written at the exit:
// { samples, maxMs, p999Ms } of the delay beyond the sampling interval of one millisecond.
const { writeFileSync } = require('node:fs');
const { monitorEventLoopDelay } = require('node:perf_hooks');

const intervalMs = 1;
const histogram = monitorEventLoopDelay({ resolution: intervalMs });
const delayMs = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - intervalMs);

process.on('SIGUSR2', () => histogram.enable());
process.on('exit', () => {
  const { LOOP_DELAY_FILE: path } = process.env;
  if (path === undefined || histogram.count === 0) return;
  const measured = {
    samples: histogram.count,
    maxMs: delayMs(histogram.max),
    p999Ms: delayMs(histogram.percentile(99.9)),
  };
  writeFileSync(path, JSON.stringify(measured));
});
