/**
 * Tells whether this commit is fit for a release: one version everywhere, a dated CHANGELOG entry for it, a clean tree,
 * and a tag (if there is one) of that very version.
 *
 * Usage: tsx build/release-check.ts
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { projectRoot } from './bundle.ts';

export interface ReleaseFacts {
  readonly packageVersion: string;
  /** The two places of the lockfile that repeat it. */
  readonly lockVersions: readonly (string | undefined)[];
  readonly changelog: string;
  /** `git status --porcelain`: empty when the tree is clean. */
  readonly changes: string;
  /** Tags of this commit that look like a release (`v1.2.3`). */
  readonly tags: readonly string[];
}

/** Everything that speaks against a release, in words; empty when nothing does. */
export function releaseFaults(facts: ReleaseFacts): string[] {
  const { packageVersion: version, lockVersions, changelog, changes, tags } = facts;
  const newest = /^## \[?(\d+\.\d+\.\d+)\]?(.*)$/m.exec(changelog);
  const checks: [boolean, string][] = [
    [/^\d+\.\d+\.\d+$/.test(version), `package.json: version ${version} is not of the form x.y.z`],
    [
      lockVersions.every((locked) => locked === version),
      `package-lock.json: version ${lockVersions.join(', ')} is not ${version} (npm install corrects it)`,
    ],
    [newest?.[1] === version, `CHANGELOG.md: the newest version in it is ${newest?.[1]}, not ${version}`],
    [
      newest?.[1] !== version || /\d{4}-\d{2}-\d{2}/.test(newest[2] ?? ''),
      `CHANGELOG.md: ${version} has no date (## ${version} - YYYY-MM-DD)`,
    ],
    [!/^## \[?unreleased\]?[^#]*\w/im.test(changelog), 'CHANGELOG.md: there are entries under Unreleased'],
    [changes === '', `the tree is not clean:\n${changes}`],
    [tags.every((tag) => tag === `v${version}`), `the tag ${tags.join(', ')} is not v${version}`],
  ];
  return checks.filter(([holds]) => !holds).map(([, fault]) => fault);
}

function gatherFacts(): ReleaseFacts {
  const read = (name: string) => readFileSync(join(projectRoot, name), 'utf8');
  const git = (...args: string[]) => execFileSync('git', args, { cwd: projectRoot, encoding: 'utf8' }).trim();
  const lock = JSON.parse(read('package-lock.json')) as {
    version?: string;
    packages?: Record<string, { version?: string }>;
  };
  return {
    packageVersion: (JSON.parse(read('package.json')) as { version: string }).version,
    lockVersions: [lock.version, lock.packages?.['']?.version],
    changelog: existsSync(join(projectRoot, 'CHANGELOG.md')) ? read('CHANGELOG.md') : '',
    changes: git('status', '--porcelain'),
    tags: git('tag', '--points-at', 'HEAD')
      .split('\n')
      .filter((tag) => /^v\d/.test(tag)),
  };
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const facts = gatherFacts();
  const faults = releaseFaults(facts);
  for (const fault of faults) console.error(`not ready: ${fault}`);
  if (faults.length > 0) process.exit(1);
  console.log(`ready for v${facts.packageVersion}`);
}
