/** Half of the scenarios on the model disk, see model-share.ts; model.test.ts has some of them. */
import { share } from './model-share.ts';

const test = share(1);
test.run();
