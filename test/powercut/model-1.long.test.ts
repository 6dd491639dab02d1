/** Half of the scenarios on the model disk, see model-share.ts; model.test.ts has some of them. */
import { runShare } from './model-share.ts';

// Each of them ends with test.run().
runShare(0);
