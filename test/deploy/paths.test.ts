/** Parts of paths: the same as those of node:path for all that a plan holds. */
import { posix } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { baseOf, below, directoryOf, inDirectory } from '../../src/deploy/paths.ts';

test('directory and name are those of node:path', () => {
  for (const path of ['/a', '/a/b', '/a/b.c/d e', '/a/.tope-1.0']) {
    assert.is(directoryOf(path), posix.dirname(path));
    assert.is(baseOf(path), posix.basename(path));
    assert.is(inDirectory(directoryOf(path), baseOf(path)), path);
  }
});

test('what is below a root is told, and what only begins as its name is not below it', () => {
  assert.equal(
    [below('/', '/a/b'), below('/a', '/a/b/c'), below('/a', '/a'), below('/a', '/ab'), below('/a/b', '/a')],
    ['a/b', 'b/c', '', undefined, undefined],
  );
});

test.run();
