'use strict';
/**
 * What an executable starts with: runs the program with what V8 has made of its source before (build/code-cache.ts). V8 compiles the
 * source where it does not take that, as on a processor that lacks something.
 */
const { getRawAsset } = require('node:sea');
const { Script } = require('node:vm');

const asset = (name) => Buffer.from(getRawAsset(name));
const options = { filename: 'tope-updater.cjs', cachedData: asset('code') };
new Script(asset('program').latin1Slice(), options).runInThisContext()(require);
