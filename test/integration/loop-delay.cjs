// Measures inside the daemon how long its event loop was blocked: `node --require` this file, with LOOP_DELAY_FILE set.
// The file is there, empty, once it is loaded. SIGUSR2 begins the measurement, so that the start of the program does not
// count; the figures are written at the exit: { samples, wallMaxMs, ownMaxMs, ownP999Ms, waitedShare }.
//
// A timer of one millisecond tells how long the loop was away from waiting for events. On a busy machine it is away
// because others have the processor, and that is taken off in the `own` figures: what this thread waited for a processor,
// what threads and programs of ours waited that it may have waited for (the start of a program returns when that program
// runs), and what the host of a virtual machine took. What is left is what the daemon does itself: computing, or a call
// that does not return. Time that it had the processor is never taken off.
const { openSync, readdirSync, readFileSync, readSync, writeFileSync } = require('node:fs');
const { monitorEventLoopDelay, performance } = require('node:perf_hooks');

const intervalMs = 1;
/** In /proc/stat, on every Linux. */
const tickMs = 10;
/** A block shorter than this is not looked at more closely. */
const longMs = 5;
const wall = monitorEventLoopDelay({ resolution: intervalMs });
const text = Buffer.alloc(256);
const own = [];
/** Threads and programs of ours by the path of their figures: the open file, milliseconds waited. */
const others = new Map();
let waitedAtAll = 0;
let wallAtAll = 0;

const self = openSync('/proc/thread-self/schedstat', 'r');
const machine = openSync('/proc/stat', 'r');

function words(file) {
  return text.toString('latin1', 0, readSync(file, text, 0, text.length, 0)).split(/\s+/);
}

/** Milliseconds since the start, of this thread and the machine. */
function now() {
  process.cpuUsage(); // the kernel brings the thread's figures up to date
  const [ran, waited] = words(self);
  return {
    at: performance.now(),
    busy: performance.eventLoopUtilization().active,
    ran: ran / 1e6,
    waited: waited / 1e6,
    stolen: words(machine)[8] * tickMs,
  };
}

/** What the others have waited since the last call. */
function othersWaitedMs() {
  let sum = 0;
  for (const [path, other] of others) {
    try {
      const waited = words(other.file)[1] / 1e6;
      sum += waited - other.waited;
      other.waited = waited;
    } catch {
      others.delete(path); // it has ended
    }
  }
  return sum;
}

function lookForOthers() {
  const tasks = readdirSync('/proc/self/task').filter((id) => Number(id) !== process.pid);
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1').split(' ');
  const paths = [
    ...tasks.map((id) => `/proc/self/task/${id}/schedstat`),
    ...children.filter((id) => id !== '').map((id) => `/proc/${id}/schedstat`),
  ];
  for (const path of paths) {
    try {
      if (!others.has(path)) others.set(path, { file: openSync(path, 'r'), waited: 0 });
    } catch {
      // it has ended meanwhile
    }
  }
}

process.on('SIGUSR2', () => {
  wall.enable();
  lookForOthers();
  othersWaitedMs();
  let before = now();
  const sample = () => {
    const after = now();
    const since = (name) => after[name] - before[name];
    let othersWaited = othersWaitedMs();
    if (since('busy') > longMs) {
      lookForOthers();
      othersWaited += othersWaitedMs();
    }
    const takenOff = since('waited') + since('stolen') + othersWaited;
    own.push(Math.max(since('ran'), since('busy') - takenOff));
    wallAtAll += since('at');
    waitedAtAll += since('waited');
    before = after;
  };
  setInterval(sample, intervalMs).unref();
});

process.on('exit', () => {
  if (own.length === 0) return;
  own.sort((a, b) => a - b);
  const measured = {
    samples: own.length,
    wallMaxMs: wall.max / 1e6 - intervalMs,
    ownMaxMs: own.at(-1),
    ownP999Ms: own[Math.floor(own.length * 0.999)],
    waitedShare: waitedAtAll / wallAtAll,
  };
  writeFileSync(process.env.LOOP_DELAY_FILE, JSON.stringify(measured));
});

writeFileSync(process.env.LOOP_DELAY_FILE, '');
