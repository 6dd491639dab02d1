/** An adaptive download on a real disk that loses power at every question to the store, and between: DOWNLOAD_CUTS (default 12) more. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cutDownloads } from './download-cuts.ts';
import { filesystems, whyUnavailable } from './filesystems.ts';
import { orSkip, whyNotBuilt } from './on-filesystem.ts';

const test = suite('power cuts in adaptive downloads');
const [ext4] = filesystems;

if (ext4 !== undefined) {
  const why = whyNotBuilt() ?? (await whyUnavailable(ext4));
  orSkip(
    test,
    ext4.name,
    why,
  )(`${ext4.name}: it goes on, with the right bytes`, async () => {
    const result = await cutDownloads(ext4, Number(process.env.DOWNLOAD_CUTS ?? 12));
    const { bad, ms, ...figures } = result;
    console.log(
      `\nmeasured: ${ext4.name}: ${JSON.stringify(figures)}, ${bad.length} bad, ${(ms / 1000).toFixed(1)} s`,
    );
    assert.equal(bad, []);
    assert.ok(result.questions >= 4 && result.wentOn > result.questions);
  });
}

test.run();
