/** One question to the fleet's server, over real sockets, with a clock that the test moves. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createExchange, ServerFault } from '../../src/fleet/exchange.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { realNet } from '../../src/host/net.ts';
import { limits } from '../../src/limits.ts';
import { movedClock } from '../fixtures/moved-clock.ts';
import { collectingLog } from '../fixtures/scripted-updater.ts';

const test = suite<{ server: Server; asked: () => Promise<void> }>('a question to the fleet server');

test.before.each(async (context) => {
  let asked: () => void;
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve;
  });
  context.asked = () => isAsked;
  context.server = createServer((_, response) => {
    response.writeHead(200, { 'content-length': '1000' });
    const dripping = setInterval(() => response.write(' '), 20);
    response.once('close', () => clearInterval(dripping));
    asked();
  });
  await new Promise<void>((resolve) => context.server.listen(0, '127.0.0.1', resolve));
});
test.after.each(async ({ server }) => {
  await new Promise((resolve) => server.close(resolve));
});

function exchangeWith(server: Server, signal: AbortSignal) {
  const clock = movedClock();
  const host = { net: realNet({ environment: {} }), memory: freeMemory, log: collectingLog(), clock };
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/t/controller/v1/d`;
  return { clock, exchange: createExchange(host, { base, authorization: async () => undefined, signal }) };
}

test('an answer that drips is given up when the time for the whole of it is over', async ({
  server,
  asked,
}) => {
  const { clock, exchange } = exchangeWith(server, new AbortController().signal);
  const answer = exchange.ask('GET', '', undefined, limits.fleetPollBytes);
  await asked();
  clock.move(limits.fleetTimeoutMs);
  const fault = await answer.then(
    () => undefined,
    (thrown) => thrown,
  );
  assert.instance(fault, ServerFault);
  assert.match(fault.message, /^GET \/: .*the answer is not whole within 30000 ms/);
});

test('a stop of the client ends it as well', async ({ server, asked }) => {
  const stopping = new AbortController();
  const { exchange } = exchangeWith(server, stopping.signal);
  const answer = exchange.ask('GET', '', undefined, limits.fleetPollBytes);
  await asked();
  stopping.abort(new Error('stopped'));
  const fault = await answer.then(
    () => undefined,
    (thrown) => thrown,
  );
  assert.is(fault.message, 'stopped');
});

test.run();
