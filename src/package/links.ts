/** Where the symlinks of a module's tree may lead: relative, and never out of it, also through others. Pure. Spec section 10. */

import { quoted } from './path-fault.ts';
import { invalidPackage } from './zip-records.ts';

/** As Linux counts them (path_resolution(7)). */
const mostHops = 40;

/** Checks the links of one tree by their paths below it; targets need not be in the package. INVALID_PACKAGE names `source` and the link. */
export function checkLinks(source: string, links: ReadonlyMap<string, string>): void {
  for (const [path, text] of links) {
    const fault = text.startsWith('/') ? 'which is absolute' : wayFault(path, links);
    if (fault !== undefined)
      throw invalidPackage(`entry ${quoted(`${source}/${path}`)} is a symlink to ${quoted(text)}, ${fault}`);
  }
}

function wayFault(path: string, links: ReadonlyMap<string, string>): string | undefined {
  const at: string[] = [];
  const ahead = path.split('/').reverse();
  for (let hops = 0; ; ) {
    const component = ahead.pop();
    if (component === undefined) return undefined;
    if (component === '' || component === '.') continue;
    if (component === '..') {
      if (at.pop() === undefined) return 'which is outside the tree of its module';
      continue;
    }
    at.push(component);
    const text = links.get(at.join('/'));
    if (text === undefined) continue;
    hops += 1;
    if (hops > mostHops) return 'which leads nowhere: its links go round in a circle';
    at.pop();
    if (text.startsWith('/')) return 'which leads on to a symlink that is absolute';
    ahead.push(...text.split('/').reverse());
  }
}
