/** Questions to the person at the terminal. They go to stderr, so that stdout stays clean for what is piped on. */

/** Asks yes or no; only "y" and "yes" are a yes. */
export async function confirm(question: string): Promise<boolean> {
  process.stderr.write(`${question} [y/N] `);
  return /^y(es)?$/i.test((await readLine(false)).trim());
}

/** A line that is not shown while it is typed; in a pipe the first line of stdin. */
export async function askHidden(question: string): Promise<string> {
  if (process.stdin.isTTY !== true) return readLine(false);
  // Before the question is seen: nothing that answers it may be shown.
  process.stdin.setRawMode(true);
  process.stderr.write(`${question}: `);
  try {
    return await readLine(true);
  } finally {
    process.stdin.setRawMode(false);
    process.stderr.write('\n');
  }
}

/** The next line of stdin, without its end; what came up to the end of the input where no line ends. */
function readLine(isHidden: boolean): Promise<string> {
  const { stdin } = process;
  return new Promise((resolve) => {
    let typed = '';
    const end = () => {
      stdin.off('data', take);
      // Or an open terminal would keep the program alive.
      stdin.pause();
      resolve(typed);
    };
    const take = (text: string) => {
      for (const character of text) {
        if (character === '\n' || character === '\r') return end();
        if (isHidden && character === '\x03') {
          stdin.setRawMode(false);
          process.stderr.write('\n');
          process.exit(130);
        }
        if (isHidden && character === '\x04') return end();
        if (isHidden && (character === '\x7f' || character === '\b')) typed = typed.slice(0, -1);
        else typed += character;
      }
    };
    stdin.setEncoding('utf8').on('data', take).once('end', end).resume();
  });
}
