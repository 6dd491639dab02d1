'use strict';
/**
 * Runs pkg's SEA step with settings that its command line drops (`seaConfig`: V8 flags). Run by the Node that is
 * packed. Arguments: folder of pkg, and as JSON { script, targets, seaConfig }.
 */
const { join } = require('node:path');

const [pkgFolder, request] = process.argv.slice(2);
const { script, targets, seaConfig } = JSON.parse(request);
require(join(pkgFolder, 'lib-es5/sea'))
  .default(script, { targets, seaConfig })
  .catch((error) => {
    console.error(error);
    process.exitCode = 1;
  });
