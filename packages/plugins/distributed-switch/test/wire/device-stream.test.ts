import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { ManualClock } from "../../src/wire/test/manual-clock.ts";
import { DeviceStream } from "./device-stream.ts";
import type { DeviceHandlers } from "../../src/wire/tap/tap-device.ts";

function record(...frames: string[]): Buffer {
  return Buffer.concat(
    frames.map((text) => {
      const bytes = Buffer.alloc(4 + text.length);
      bytes.writeUInt32BE(text.length);
      bytes.write(text, 4);
      return bytes;
    }),
  );
}

it("a device is a stream of frames while it is there, and nobody can connect while it isn't", async () => {
  const directory = mkdtempSync(join(tmpdir(), "vdc-wire-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, "device.sock");
  const clock = new ManualClock();
  const opened: DeviceHandlers[] = [];
  const delivered: string[] = [];
  const arrived = new Set<() => void>();
  await using stream = new DeviceStream({
    ...{ path, clock, reopenMs: 10 },
    open: (handlers) => {
      opened.push(handlers);
      return {
        deliver: (buffer, start, end) => {
          delivered.push(buffer.toString("utf8", start, end));
          for (const resolve of arrived) resolve();
          return delivered.length > 2 ? "queueFull" : undefined;
        },
        close: () => undefined,
      };
    },
  });
  const fromDevice = (...frames: string[]): void => {
    const buffer = record(...frames);
    let at = 0;
    for (const frame of frames) {
      opened.at(-1)?.onFrame(buffer, at + 4, at + 4 + frame.length);
      at += 4 + frame.length;
    }
    opened.at(-1)?.onBatchEnd();
  };
  await stream.start();
  fromDevice("nobody listens");
  expect(stream.statistics()).toEqual({ dropped: 1, refused: 0 });

  const socket = createConnection(path);
  await once(socket, "connect");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const closed = once(socket, "close");
  socket.write(record("one", "two", "three"));
  while (delivered.length < 3) await new Promise<void>((resolve) => arrived.add(resolve));
  expect([delivered, stream.statistics().refused]).toEqual([["one", "two", "three"], 1]);
  fromDevice("a", "bc");
  const [chunk] = await once(socket, "data");
  expect(chunk).toEqual(record("a", "bc"));

  opened[0]?.onClose?.("the interface was removed");
  await closed;
  expect([stream.up, stream.reason]).toEqual([false, "the interface was removed"]);
  const refused = createConnection(path);
  await expect(once(refused, "connect")).rejects.toThrow();
  clock.advance(10);
  await Promise.resolve();
  const again = createConnection(path);
  await once(again, "connect");
  again.destroy();
  await stream.close();
  await expect(once(createConnection(path), "connect")).rejects.toThrow();
});
