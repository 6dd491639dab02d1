/** The device-api of the benchmark: takes reports, notes when each arrived, answers at once. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { within } from './wait.ts';

export interface Report {
  readonly stage: string;
  readonly error: string | null;
  /** When its last byte was here: wall clock, epoch milliseconds. */
  readonly arrivedMs: number;
}

export interface DeviceApi {
  readonly url: string;
  readonly reports: readonly Report[];
  /** Resolves with the next report of that stage; rejects when `failed` is reported instead, or after `withinMs`. */
  reached(stage: string, withinMs: number): Promise<Report>;
  close(): Promise<void>;
}

export async function openDeviceApi(): Promise<DeviceApi> {
  const reports: Report[] = [];
  let heard: (report: Report) => void = () => undefined;
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      const { stage, error } = JSON.parse(body) as { stage: string; error: string | null };
      const report = { stage, error, arrivedMs: performance.timeOrigin + performance.now() };
      response.end('{}');
      reports.push(report);
      heard(report);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1.0/ota/report`,
    reports,
    reached: (stage, withinMs) =>
      within(
        `the report of ${stage}`,
        withinMs,
        new Promise((resolve, reject) => {
          heard = (report) => {
            if (report.stage === stage) resolve(report);
            else if (report.stage === 'failed') reject(new Error(`the update failed: ${report.error}`));
          };
        }),
      ),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
